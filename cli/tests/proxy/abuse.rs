//! Sockets that do not play by the rules (threats T54, T55).

use std::io::{Read, Write};

use crate::stage::{both, chat, parse};

/// Every one is answered with a 4xx or cut off, and the proxy goes on.
#[test]
fn t54_heads_that_are_refused() {
    let body = chat("venice/e2ee-sim-27b", false).to_string();
    let length = body.len();
    let post = |extra: &str, body: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n{extra}\r\n{body}"
        )
    };
    let many: String = (0..120).map(|number| format!("x-{number}: a\r\n")).collect();
    let long = format!("x-long: {}\r\n", "a".repeat(70_000));
    let length_header = format!("content-length: {length}\r\n");
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let cases: Vec<(&str, String, &[u16])> = vec![
        (
            "length and chunks",
            post(&format!("{length_header}transfer-encoding: chunked\r\n"), &chunked),
            &[400],
        ),
        (
            "chunks and length",
            post(&format!("transfer-encoding: chunked\r\n{length_header}"), &chunked),
            &[400],
        ),
        ("two lengths", post(&format!("{length_header}content-length: 1\r\n"), &body), &[400]),
        ("two equal lengths", post(&format!("{length_header}{length_header}"), &body), &[400]),
        ("no length of a number", post("content-length: -1\r\n", &body), &[400]),
        ("another coding", post("transfer-encoding: gzip\r\n", &body), &[400]),
        ("a folded line", post("x-a: b\r\n c\r\ncontent-length: 0\r\n", ""), &[400]),
        ("a space before the colon", post("x-a : b\r\ncontent-length: 0\r\n", ""), &[400]),
        ("a NUL", post("x-a: \0\r\ncontent-length: 0\r\n", ""), &[400]),
        ("too many fields", post(&many, ""), &[400, 431]),
        ("a field too long", post(&long, ""), &[400, 431]),
        (
            "a path too long",
            format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(70_000)),
            &[400, 414, 431],
        ),
        ("another protocol", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), &[400, 505]),
        ("no protocol", "hello\r\n\r\n".to_owned(), &[400]),
        ("TLS", "\u{16}\u{3}\u{1}\0\u{1}".to_owned() + "\r\n\r\n", &[400]),
        ("a body beyond every bound", post("content-length: 99999999999\r\n", "{"), &[413]),
        ("a compressed body", post(&format!("content-encoding: gzip\r\n{length_header}"), &body), &[415]),
        ("a body that is cut off", post("content-length: 10\r\n", "{"), &[400]),
        ("a broken chunk", post("transfer-encoding: chunked\r\n", "zz\r\n"), &[400]),
    ];
    for (what, request, statuses) in cases {
        let mut socket = both().connect();
        let _ = socket.write_all(request.as_bytes());
        // A caller that closes its side before the answer is taken for one that went away.
        if what == "a body that is cut off" {
            socket.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let mut answer = Vec::new();
        let reset = socket.read_to_end(&mut answer).is_err();
        let text = String::from_utf8_lossy(&answer);
        // A connection that is closed without a word is an answer to what is no HTTP. A body that nobody read resets the connection, at
        // times before the answer was read.
        let silent = reset || matches!(what, "another protocol" | "no protocol" | "TLS");
        let refused = if text.is_empty() { silent } else { statuses.contains(&parse(&text).status) };
        assert!(refused, "{what}: {text}");
        assert!(!text.contains(" 200 "), "{what}");
    }
    assert_eq!(both().get("/healthz").status, 200);
}

/// T54: no request of a connection says in two ways how long its body is, whatever came before it and however its lines end.
#[test]
fn t54_no_request_of_a_connection_is_smuggled() {
    const GET: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let body = chat("venice/e2ee-sim-27b", false).to_string();
    let post = |extra: &str, body: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{extra}\r\n{body}"
        )
    };
    let length = format!("content-length: {}\r\n", body.len());
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let good = post(&length, &body);
    let both_lengths = post("content-length: 5\r\ntransfer-encoding: chunked\r\n", &chunks);
    let two_lengths = post(&format!("{length}content-length: 5\r\n"), &body);
    let in_chunks = post("transfer-encoding: chunked\r\n", &chunks);
    // How many answers with 200 there are before one of 400, after which the connection is over.
    let cases = [
        (vec![both_lengths.clone()], 0),
        (vec![GET.to_owned(), both_lengths.clone()], 1),
        (vec![good.clone(), both_lengths.clone()], 1),
        (vec![good.clone(), GET.to_owned(), good.clone(), two_lengths.clone()], 3),
        (vec![format!("\r\n\r\n{both_lengths}")], 0),
        (vec![format!("\r\n{two_lengths}")], 0),
        (vec![format!("\n\n{both_lengths}")], 0),
        (vec![GET.to_owned(), format!("\r\n\r\n\r\n{both_lengths}")], 1),
        (vec![both_lengths.replacen("\r\n", "\n", 6)], 0),
        (vec![both_lengths.replacen("chunked\r\n\r\n", "chunked\n\n", 1)], 0),
        (vec![GET.replace("\r\n", "\n")], 0),
        (vec![GET.to_owned(), GET.replace("\r\n", "\n")], 1),
    ];
    for (requests, answered) in cases {
        let mut socket = both().connect();
        for (number, request) in requests.iter().enumerate() {
            socket.write_all(request.as_bytes()).unwrap();
            if number < answered {
                let head = next_answer(&mut socket);
                assert!(head.starts_with("HTTP/1.1 200"), "{requests:?}: {head}");
                assert!(!head.to_ascii_lowercase().contains("connection: close"), "{requests:?}: {head}");
            }
        }
        let mut rest = Vec::new();
        let reset = socket.read_to_end(&mut rest).is_err();
        let rest = String::from_utf8_lossy(&rest);
        // A body that nobody read resets the connection, at times before the answer was read.
        assert!(rest.starts_with("HTTP/1.1 400") || (reset && rest.is_empty()), "{requests:?}: {rest}");
        assert!(!rest.contains("HTTP/1.1 200"), "{requests:?}: {rest}");
    }
    // In one piece nothing of it is taken for something else.
    let mut socket = both().connect();
    socket.write_all(format!("{GET}{both_lengths}").as_bytes()).unwrap();
    let mut all = String::new();
    let _ = socket.read_to_string(&mut all);
    assert!(all.matches("HTTP/1.1 200").count() <= 1 && !all.contains("chat.completion"), "{all}");
    // Chunks are the last that a connection carries, so what comes behind them is not answered.
    let mut socket = both().connect();
    socket.write_all(format!("{in_chunks}{both_lengths}{good}").as_bytes()).unwrap();
    let head = next_answer(&mut socket);
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("connection: close"), "{head}");
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains("HTTP/1.1"), "{rest:?}");
}

/// The next answer of a connection that goes on.
fn next_answer(socket: &mut std::net::TcpStream) -> String {
    let mut all = Vec::new();
    let mut byte = [0];
    while !all.ends_with(b"\r\n\r\n") {
        assert_eq!(socket.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&all));
        all.push(byte[0]);
    }
    let head = String::from_utf8(all).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    socket.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

/// More than the most that may be sent, without saying so first.
#[test]
fn t54_a_body_that_does_not_end() {
    let mut socket = both().connect();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).unwrap();
    let piece = [format!("{:x}\r\n", 1 << 20).into_bytes(), vec![b' '; 1 << 20], b"\r\n".to_vec()].concat();
    // The proxy answers and closes somewhere behind the 50th mebibyte.
    let sent = (0..200).take_while(|_| socket.write_all(&piece).is_ok()).count();
    assert!((50..200).contains(&sent), "{sent}");
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    assert!(text.is_empty() || parse(&text).code() == "PV-601", "{text}");
}

/// A head that never ends is cut off; a body has its own time.
#[test]
fn t54_slow_heads() {
    let mut sockets: Vec<_> = (0..20).map(|_| both().connect()).collect();
    for socket in &mut sockets {
        socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: loc").unwrap();
    }
    assert_eq!(both().get("/healthz").status, 200);
    for mut socket in sockets {
        let mut answer = Vec::new();
        // Ends by the proxy's own limit; the socket's is six times as long.
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{answer:?}");
    }
}

/// Beyond the number of connections one is told so, and those that are open go on.
#[cfg(target_os = "linux")]
#[test]
fn t54_idle_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    let proxy = crate::stage::Proxy::start(tempfile::tempdir().unwrap(), &["--demo"], &[]);
    let mut held: Vec<_> = (0..1024).map(|_| proxy.connect()).collect();
    let mut turned_away = 0;
    for _ in 0..8 {
        let mut answer = String::new();
        let _ = proxy.connect().read_to_string(&mut answer);
        turned_away += usize::from(answer.starts_with("HTTP/1.1 503"));
    }
    assert!(turned_away > 0);
    let first = held.first_mut().unwrap();
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).unwrap();
    assert_eq!(parse(&answer).status, 200);
}

/// T55: names that callers or providers make up are never markup, paths or lines of a log.
#[test]
fn t55_injection() {
    for model in [
        "<script>alert(1)</script>",
        "a\r\nx-evil: 1",
        "\u{1b}[2J",
        "../../etc/passwd",
        "{{7*7}}",
        "%0d%0aSet-Cookie:a",
    ] {
        let answer = both().chat(model, false);
        assert_eq!(answer.status, 400, "{model}");
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert!(!answer.headers.contains_key("x-evil") && !answer.body.contains('\u{1b}'));
    }
    for path in [
        "/report/../../etc/passwd",
        "/report/%2e%2e%2f",
        "/report/<svg onload=alert(1)>",
        "/report/",
        "/page.css/../index.html",
    ] {
        let answer = both().get(&path.replace(' ', "%20"));
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        assert!(!answer.body.contains("<svg"), "{path}");
    }
    let log = both().log();
    assert!(
        !log.contains('\u{1b}')
            && !log.contains("<script>")
            && !log.lines().any(|line| line.starts_with("x-evil"))
    );
    let page = both().get("/");
    assert!(page.headers["content-security-policy"].starts_with("default-src 'none'"));
}
