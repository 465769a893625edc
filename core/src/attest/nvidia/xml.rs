//! A strict reader for the XML of reference manifests, and their canonical form (Canonical XML 1.1).
//!
//! Accepted: UTF-8, an optional XML declaration, one root element, elements with attributes, text, the five predefined entities and
//! character references. Refused: document types, comments, processing instructions, CDATA, `xml:` attributes, names outside
//! ASCII, anything after the root. What is left out has no use in a manifest, and is what signature wrapping, entity expansion and
//! comment splitting are made of (`attestation.md` 3.3; threats T15). Depth and number of nodes are bounded.

use std::borrow::Cow;

use crate::limits::{XML_MAX_ATTRIBUTES, XML_MAX_DEPTH, XML_MAX_NODES};

/// Namespace bound to the prefix `xmlns`; nobody may declare it.
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
/// Namespace bound to the prefix `xml`.
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// A prefix and the namespace it stands for; the empty prefix is the default namespace.
pub(super) type Binding<'a> = (&'a str, Cow<'a, str>);

/// An attribute that is not a namespace declaration.
#[derive(Debug)]
pub(super) struct Attribute<'a> {
    prefix: &'a str,
    /// Name without prefix.
    pub local: &'a str,
    /// Empty for an attribute without prefix.
    pub namespace: Cow<'a, str>,
    /// Value, normalised.
    pub value: Cow<'a, str>,
}

/// An element with everything inside.
#[derive(Debug)]
pub(super) struct Element<'a> {
    prefix: &'a str,
    /// Name without prefix.
    pub local: &'a str,
    /// Empty when there is none.
    pub namespace: Cow<'a, str>,
    /// Attributes in document order.
    pub attributes: Vec<Attribute<'a>>,
    /// Namespaces declared here, in document order.
    pub declarations: Vec<Binding<'a>>,
    /// What is inside, in order.
    pub children: Vec<Node<'a>>,
}

/// What an element contains.
#[derive(Debug)]
pub(super) enum Node<'a> {
    /// An element.
    Element(Element<'a>),
    /// Text between tags, with references resolved.
    Text(Cow<'a, str>),
}

impl<'a> Element<'a> {
    /// True for this name in this namespace.
    pub(super) fn is(&self, namespace: &str, local: &str) -> bool {
        self.local == local && self.namespace == namespace
    }

    /// The child elements.
    pub(super) fn elements(&self) -> impl Iterator<Item = &Element<'a>> {
        self.children.iter().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The text inside, when there is nothing else.
    pub(super) fn text(&self) -> Option<&str> {
        match self.children.as_slice() {
            [] => Some(""),
            [Node::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// True when there is no text but white space directly inside.
    pub(super) fn has_only_elements(&self) -> bool {
        self.children.iter().all(|child| match child {
            Node::Element(_) => true,
            Node::Text(text) => text.bytes().all(is_space),
        })
    }

    /// Value of an attribute; `namespace` is empty for one without prefix.
    pub(super) fn attribute(&self, namespace: &str, local: &str) -> Option<&str> {
        let found = |attribute: &&Attribute<'_>| attribute.local == local && attribute.namespace == namespace;
        self.attributes.iter().find(found).map(|attribute| attribute.value.as_ref())
    }

    /// Calls `visit` for this element and every one inside.
    pub(super) fn walk<'e>(&'e self, visit: &mut dyn FnMut(&'e Element<'a>)) {
        visit(self);
        for element in self.elements() {
            element.walk(visit);
        }
    }

    /// Canonical XML 1.1 of this element as a document of its own, without the element `omit` inside it (the enveloped-signature
    /// transform). `inherited` are the namespaces in scope around it.
    pub(super) fn canonical(&self, omit: Option<&Element<'_>>, inherited: &[Binding<'_>]) -> Vec<u8> {
        let mut out = String::new();
        let mut scope: Vec<(&str, &str)> = Vec::new();
        // Everything in scope is rendered at the apex, as if it were declared there.
        let mut rendered: Vec<(&str, &str)> = Vec::new();
        for (prefix, uri) in inherited.iter().chain(&self.declarations) {
            rendered.retain(|(other, _)| other != prefix);
            rendered.push((prefix, uri));
        }
        rendered.retain(|(prefix, uri)| !(prefix.is_empty() && uri.is_empty()));
        self.write(&mut out, &mut scope, rendered, omit);
        out.into_bytes()
    }

    fn write<'s>(
        &'s self,
        out: &mut String,
        scope: &mut Vec<(&'s str, &'s str)>,
        mut rendered: Vec<(&'s str, &'s str)>,
        omit: Option<&Element<'_>>,
    ) {
        let name = |out: &mut String, prefix: &str, local: &str| {
            if !prefix.is_empty() {
                out.push_str(prefix);
                out.push(':');
            }
            out.push_str(local);
        };
        out.push('<');
        name(out, self.prefix, self.local);
        rendered.sort_unstable();
        for (prefix, uri) in &rendered {
            out.push_str(" xmlns");
            if !prefix.is_empty() {
                out.push(':');
                out.push_str(prefix);
            }
            out.push_str("=\"");
            escape_attribute(uri, out);
            out.push('"');
        }
        let mut attributes: Vec<&Attribute<'_>> = self.attributes.iter().collect();
        attributes.sort_by(|a, b| (&a.namespace, a.local).cmp(&(&b.namespace, b.local)));
        for attribute in attributes {
            out.push(' ');
            name(out, attribute.prefix, attribute.local);
            out.push_str("=\"");
            escape_attribute(&attribute.value, out);
            out.push('"');
        }
        out.push('>');
        let outer = scope.len();
        scope.extend(rendered);
        for child in &self.children {
            match child {
                Node::Text(text) => escape_text(text, out),
                Node::Element(element) => {
                    if omit.is_some_and(|omit| same_element(omit, element)) {
                        continue;
                    }
                    let new = element.declarations.iter().map(|(prefix, uri)| (*prefix, uri.as_ref()));
                    let new = new.filter(|(prefix, uri)| lookup(scope, prefix) != *uri).collect();
                    element.write(out, scope, new, omit);
                }
            }
        }
        scope.truncate(outer);
        out.push_str("</");
        name(out, self.prefix, self.local);
        out.push('>');
    }
}

/// True for one and the same place in a document.
fn same_element(a: &Element<'_>, b: &Element<'_>) -> bool {
    std::ptr::addr_eq(std::ptr::from_ref(a), std::ptr::from_ref(b))
}

/// The namespace that a prefix stands for; empty when it stands for none.
fn lookup<'s>(scope: &[(&str, &'s str)], prefix: &str) -> &'s str {
    scope.iter().rev().find(|(other, _)| *other == prefix).map_or("", |(_, uri)| uri)
}

fn escape_attribute(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            _ => out.push(c),
        }
    }
}

fn escape_text(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#xD;"),
            _ => out.push(c),
        }
    }
}

/// Parses one document; `None` for anything that is not accepted. The caller bounds the length.
pub(super) fn parse(bytes: &[u8]) -> Option<Element<'_>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut reader = Reader { rest: text, nodes: 0, scope: vec![("xml", Cow::Borrowed(XML))] };
    reader.declaration()?;
    reader.skip_space();
    let root = reader.element(0)?;
    reader.skip_space();
    reader.rest.is_empty().then_some(root)
}

struct Reader<'a> {
    rest: &'a str,
    nodes: usize,
    scope: Vec<Binding<'a>>,
}

impl<'a> Reader<'a> {
    fn eat(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Skips white space, of which there must be some.
    fn space(&mut self) -> Option<()> {
        let before = self.rest.len();
        self.skip_space();
        (self.rest.len() < before).then_some(())
    }

    fn until(&mut self, end: char) -> Option<&'a str> {
        let (head, tail) = self.rest.split_once(end)?;
        self.rest = tail;
        Some(head)
    }

    fn quoted(&mut self) -> Option<&'a str> {
        match self.rest.chars().next()? {
            quote @ ('"' | '\'') => {
                self.eat(if quote == '"' { "\"" } else { "'" })?;
                self.until(quote)
            }
            _ => None,
        }
    }

    fn count(&mut self) -> Option<()> {
        self.nodes = self.nodes.checked_add(1)?;
        (self.nodes <= XML_MAX_NODES).then_some(())
    }

    /// `<?xml version="1.0" encoding="UTF-8"?>`, if it is there.
    fn declaration(&mut self) -> Option<()> {
        if !self.rest.starts_with("<?xml") {
            return Some(());
        }
        self.eat("<?xml")?;
        let mut expected = ["version", "encoding", "standalone"].iter();
        let mut version = None;
        loop {
            let spaced = self.space().is_some();
            if self.eat("?>").is_some() {
                return (version == Some("1.0")).then_some(());
            }
            let name = self.name()?;
            if !spaced || !expected.any(|known| *known == name) {
                return None;
            }
            self.skip_space();
            self.eat("=")?;
            self.skip_space();
            let value = self.quoted()?;
            match name {
                "version" => version = Some(value),
                "encoding" if !value.eq_ignore_ascii_case("utf-8") => return None,
                _ => {}
            }
        }
    }

    /// A name without colon, in ASCII.
    fn name(&mut self) -> Option<&'a str> {
        let end = self.rest.bytes().position(|byte| !is_name(byte)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at_checked(end)?;
        let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        if !starts {
            return None;
        }
        self.rest = rest;
        Some(name)
    }

    /// Prefix (possibly empty) and local name.
    fn qualified(&mut self) -> Option<(&'a str, &'a str)> {
        let first = self.name()?;
        if self.eat(":").is_none() {
            return Some(("", first));
        }
        Some((first, self.name()?))
    }

    fn namespace(&self, prefix: &str) -> Option<Cow<'a, str>> {
        let found = self.scope.iter().rev().find(|(other, _)| *other == prefix);
        match found {
            Some((_, uri)) => Some(uri.clone()),
            None if prefix.is_empty() => Some(Cow::Borrowed("")),
            None => None,
        }
    }

    /// An element from its `<` on.
    fn element(&mut self, depth: usize) -> Option<Element<'a>> {
        if depth >= XML_MAX_DEPTH {
            return None;
        }
        self.count()?;
        self.eat("<")?;
        let (prefix, local) = self.qualified()?;
        let outer = self.scope.len();
        let (plain, declarations) = self.attributes()?;
        self.scope.extend(declarations.iter().cloned());
        let mut element = Element {
            prefix,
            local,
            namespace: self.namespace(prefix)?,
            attributes: self.resolve(plain)?,
            declarations,
            children: Vec::new(),
        };
        if self.eat("/>").is_none() {
            self.eat(">")?;
            self.content(&mut element, depth)?;
        }
        self.scope.truncate(outer);
        Some(element)
    }

    /// Attributes and namespace declarations up to the end of the tag.
    #[allow(clippy::type_complexity, reason = "two lists, taken apart at once")]
    fn attributes(&mut self) -> Option<(Vec<(&'a str, &'a str, Cow<'a, str>)>, Vec<Binding<'a>>)> {
        let mut plain: Vec<(&str, &str, Cow<'_, str>)> = Vec::new();
        let mut declarations: Vec<Binding<'a>> = Vec::new();
        loop {
            let spaced = self.space().is_some();
            if self.rest.starts_with(['>', '/']) {
                return Some((plain, declarations));
            }
            let count = plain.len().checked_add(declarations.len())?;
            if !spaced || count >= XML_MAX_ATTRIBUTES {
                return None;
            }
            self.count()?;
            let (prefix, local) = self.qualified()?;
            self.skip_space();
            self.eat("=")?;
            self.skip_space();
            let value = resolve(self.quoted()?, true)?;
            match (prefix, local) {
                ("xml", _) => return None,
                ("xmlns", _) | ("", "xmlns") => {
                    let declared = if prefix.is_empty() { "" } else { local };
                    let reserved = matches!(declared, "xml" | "xmlns")
                        || value == XML
                        || value == XMLNS
                        || (value.is_empty() && !declared.is_empty());
                    if reserved || declarations.iter().any(|(other, _)| *other == declared) {
                        return None;
                    }
                    declarations.push((declared, value));
                }
                _ => plain.push((prefix, local, value)),
            }
        }
    }

    /// Gives attributes their namespaces; no two may have the same name in the same one.
    fn resolve(&self, plain: Vec<(&'a str, &'a str, Cow<'a, str>)>) -> Option<Vec<Attribute<'a>>> {
        let mut attributes: Vec<Attribute<'a>> = Vec::with_capacity(plain.len());
        for (prefix, local, value) in plain {
            let namespace = if prefix.is_empty() { Cow::Borrowed("") } else { self.namespace(prefix)? };
            if attributes.iter().any(|other| other.local == local && other.namespace == namespace) {
                return None;
            }
            attributes.push(Attribute { prefix, local, namespace, value });
        }
        Some(attributes)
    }

    /// Everything up to and with the end tag.
    fn content(&mut self, element: &mut Element<'a>, depth: usize) -> Option<()> {
        loop {
            let end = self.rest.find('<')?;
            let (text, rest) = self.rest.split_at_checked(end)?;
            if !text.is_empty() {
                self.count()?;
                element.children.push(Node::Text(resolve(text, false)?));
            }
            self.rest = rest;
            if self.eat("</").is_some() {
                if self.qualified()? != (element.prefix, element.local) {
                    return None;
                }
                self.skip_space();
                return self.eat(">");
            }
            // `<!` and `<?` are no elements: comments, CDATA, document types and processing instructions end here.
            element.children.push(Node::Element(self.element(depth.checked_add(1)?)?));
        }
    }
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// True for characters of XML 1.0.
const fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Text or attribute value with references resolved, line ends normalised and, in attributes, white space turned into blanks.
fn resolve(raw: &str, attribute: bool) -> Option<Cow<'_, str>> {
    let plain = |c: char| match c {
        '&' | '<' | '\r' => false,
        '\t' | '\n' => !attribute,
        ']' => false,
        _ => is_xml_char(c),
    };
    if raw.chars().all(plain) {
        return Some(Cow::Borrowed(raw));
    }
    if raw.contains('<') || (!attribute && raw.contains("]]>")) {
        return None;
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..)?;
        match c {
            '&' => {
                let (name, after) = rest.split_once(';')?;
                out.push(reference(name)?);
                rest = after;
            }
            '\r' => {
                // CRLF and CR are line ends like LF.
                rest = rest.strip_prefix('\n').unwrap_or(rest);
                out.push(if attribute { ' ' } else { '\n' });
            }
            '\t' | '\n' if attribute => out.push(' '),
            _ if is_xml_char(c) => out.push(c),
            _ => return None,
        }
    }
    Some(Cow::Owned(out))
}

fn reference(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let (digits, radix) = match number.strip_prefix('x') {
                Some(hex) => (hex, 16),
                None => (number, 10),
            };
            let plain = !digits.is_empty() && digits.len() <= 8 && digits.chars().all(|c| c.is_digit(radix));
            let code = if plain { u32::from_str_radix(digits, radix).ok()? } else { return None };
            char::from_u32(code).filter(|c| is_xml_char(*c))
        }
    }
}

#[cfg(test)]
mod tests;
