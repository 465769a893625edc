//! What the reader takes and refuses, and the canonical form.

use super::*;

fn canonical(xml: &str) -> Option<String> {
    parse(xml.as_bytes()).map(|root| String::from_utf8(root.canonical(None, &[])).unwrap())
}

/// Forms of Canonical XML 1.1 (and the examples of its section 3 that need no DTD, comment or processing instruction).
#[test]
fn canonical_forms() {
    let cases = [
        ("<a/>", "<a></a>"),
        ("<?xml version='1.0' encoding='utf-8'?>\r\n<a b = 'x'  ></a >\n", "<a b=\"x\"></a>"),
        ("<a z=\"1\" b=\"2\"/>", "<a b=\"2\" z=\"1\"></a>"),
        (
            "<a xmlns:b='u2' xmlns:c='u1' b:x='1' c:y='2' z='3'/>",
            "<a xmlns:b=\"u2\" xmlns:c=\"u1\" z=\"3\" c:y=\"2\" b:x=\"1\"></a>",
        ),
        (
            "<a xmlns='u'><b xmlns='u'/><c xmlns=''><d xmlns=''/></c></a>",
            "<a xmlns=\"u\"><b></b><c xmlns=\"\"><d></d></c></a>",
        ),
        (
            "<a xmlns:p='u'><b xmlns:p='v'><c xmlns:p='u'/></b><p:d xmlns:p='u'/></a>",
            "<a xmlns:p=\"u\"><b xmlns:p=\"v\"><c xmlns:p=\"u\"></c></b><p:d></p:d></a>",
        ),
        (
            "<a x='&lt;&#9;&#xA;&#13;\"&gt;&apos;&amp;\t\r\n\n'/>",
            "<a x=\"&lt;&#x9;&#xA;&#xD;&quot;>'&amp;   \"></a>",
        ),
        ("<a>&lt;&gt;\"'&amp;&#13;\r\n\r\t]]</a>", "<a>&lt;&gt;\"'&amp;&#xD;\n\n\t]]</a>"),
        ("<a>\u{e4}&#xe4;&#x1F600;</a>", "<a>\u{e4}\u{e4}\u{1f600}</a>"),
        ("<a xmlns=''/>", "<a></a>"),
    ];
    for (xml, expected) in cases {
        let once = canonical(xml).unwrap_or_else(|| panic!("{xml}"));
        assert_eq!(once, expected, "{xml}");
        assert_eq!(canonical(&once).as_deref(), Some(expected), "canonical twice: {xml}");
    }
}

/// An element of its own takes the namespaces around it along; a part can be left out.
#[test]
fn parts() {
    let root = parse(b"<a xmlns='u' xmlns:p='v'>1<s xmlns:q='w'><t/></s>2<s/></a>").unwrap();
    let s = root.elements().next().unwrap();
    let around: Vec<Binding<'_>> = root.declarations.clone();
    assert_eq!(s.canonical(None, &around), b"<s xmlns=\"u\" xmlns:p=\"v\" xmlns:q=\"w\"><t></t></s>");
    assert_eq!(root.canonical(Some(s), &[]), b"<a xmlns=\"u\" xmlns:p=\"v\">12<s></s></a>");
}

#[test]
fn refused() {
    let deep = format!("{}{}", "<a>".repeat(XML_MAX_DEPTH + 1), "</a>".repeat(XML_MAX_DEPTH + 1));
    let wide = format!("<a>{}</a>", "<b/>".repeat(XML_MAX_NODES));
    let many: String = (0..=XML_MAX_ATTRIBUTES).map(|i| format!(" a{i}='1'")).collect();
    let many = format!("<a{many}/>");
    let cases = [
        "",
        "text",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>text",
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
        "<a>&e;</a>",
        "<a>&#0;</a>",
        "<a>&#xD800;</a>",
        "<a>&#x110000;</a>",
        "<a>&#+65;</a>",
        "<a>&#;</a>",
        "<a>& </a>",
        "<a><!-- c --></a>",
        "<!-- c --><a/>",
        "<a><![CDATA[x]]></a>",
        "<a><?p x?></a>",
        "<?p x?><a/>",
        "<a>]]></a>",
        "<a>\u{1}</a>",
        "<a b='\u{0}'/>",
        "<a b='<'/>",
        "<a b=1/>",
        "<a b='1'c='2'/>",
        "<a b='1' b='2'/>",
        "<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>",
        "<a xmlns:p='u' xmlns:p='v'/>",
        "<p:a/>",
        "<a p:b='1'/>",
        "<a xmlns:p=''/>",
        "<a xml:id='1'/>",
        "<a xmlns:xml='http://www.w3.org/XML/1998/namespace'/>",
        "<a xmlns:p='http://www.w3.org/2000/xmlns/'/>",
        "<xmlns:a/>",
        "<a:b:c xmlns:a='u'/>",
        "<1a/>",
        "<\u{e4}/>",
        "< a/>",
        "<a / >",
        "<?xml version='1.1'?><a/>",
        "<?xml version='1.0' encoding='latin1'?><a/>",
        "<?xml encoding='utf-8' version='1.0'?><a/>",
        "<?xml version='1.0'encoding='utf-8'?><a/>",
        "\u{feff}<a/>",
        &deep,
        &wide,
        &many,
    ];
    for xml in cases {
        assert!(parse(xml.as_bytes()).is_none(), "{}", &xml[..xml.len().min(80)]);
    }
    assert!(parse(b"<a>\xff</a>").is_none());
}
