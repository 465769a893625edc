//! The page of the local proxy, driven as a person would: in front of both simulated providers, of one whose evidence is refused, and of
//! one whose answers are cut (users.md 8, 9, 10; threats T51, T52, T55). Pictures of it are left in `target/browser`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::devtools::Devtools;
use super::programs::Program;

const TOKEN: &str = "token-of-the-page-test";
/// Markup that would run or load something, were it markup.
const HOSTILE: &str = "<img src=x onerror=document.title='ran'>";
/// The same in one word, which the simulated model speaks about.
const HOSTILE_WORD: &str = "x<img/src=x/onerror=document.title='ran'>y";

/// What an answer's place shows when nothing more comes.
const ENDED: &str = "[...document.querySelectorAll('.answer')].at(-1)?.getAttribute('aria-busy') === null";
const LAST: &str = "[...document.querySelectorAll('.answer')].at(-1)";

/// Contrast of a text to what is behind it, as WCAG 2.2 counts it (1.4.3).
const CONTRAST: &str = "(selector) => {
  const light = (css) => css.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const element = document.querySelector(selector);
  let under = element;
  while (getComputedStyle(under).backgroundColor === 'rgba(0, 0, 0, 0)') under = under.parentElement;
  const both = [light(getComputedStyle(element).color), light(getComputedStyle(under).backgroundColor)].sort((a, b) => b - a);
  return (both[0] + 0.05) / (both[1] + 0.05);
}";

/// All that is looked at, with a browser that is there.
pub(super) fn test(browser: &str, proveil: &Path, work: &Path) -> Result<(), String> {
    let stage = Stage { proveil: proveil.to_owned(), work: work.to_owned() };
    let honest = stage.proxy("demo", &["--demo"])?;
    let refusing = stage.simulator("refusing", &["--defect", "nonce-echo-only"])?;
    let callers = stage.simulator_of("privatemode", "callers", &[])?;
    let cutting = stage.simulator("cutting", &["--defect", "stream-cut", "--pace-ms", "60"])?;
    let tokens = work.join("tokens");
    std::fs::write(&tokens, format!("{TOKEN}\n")).map_err(|error| format!("cannot write tokens: {error}"))?;
    let tokens = tokens.display().to_string();
    let refused = stage.in_front_of(&refusing, &["--client-tokens-file", &tokens])?;
    let keyless = stage.for_callers(&callers)?;
    let cut = stage.in_front_of(&cutting, &[])?;
    for (name, case, proxy) in [
        ("endpoints, chats and reports", Stage::endpoints as Case, &honest),
        ("keyboard only", Stage::keyboard, &honest),
        ("texts of strangers (T55)", Stage::strangers, &honest),
        ("a refusal, behind a client token", Stage::refusal, &refused),
        ("a caller with a key of its own", Stage::own_key, &keyless),
        ("a cut answer and a stopped one", Stage::incomplete, &cut),
        ("dark and light, narrow and wide", Stage::looks, &honest),
        ("an offence is noticed", Stage::offence, &honest),
    ] {
        let mut tools = Devtools::start(browser, &work.join("page-profile"))?;
        let url = proxy.announced("url")?;
        case(&stage, &mut tools, &url).map_err(|error| format!("page of the proxy, {name}: {error}"))?;
        println!("ok      page of the proxy: {name}");
    }
    let mut tools = Devtools::start(browser, &work.join("page-profile"))?;
    stage.gone(&mut tools, cut).map_err(|error| format!("page of the proxy, proofs that ended: {error}"))?;
    println!("ok      page of the proxy: proofs that ended, and a proxy that is gone");
    Ok(())
}

type Case = fn(&Stage, &mut Devtools, &str) -> Result<(), String>;

struct Stage {
    proveil: PathBuf,
    work: PathBuf,
}

impl Stage {
    fn simulator(&self, name: &str, more: &[&str]) -> Result<Program, String> {
        self.simulator_of("venice", name, more)
    }

    fn simulator_of(&self, provider: &str, name: &str, more: &[&str]) -> Result<Program, String> {
        let roots = self.file(&format!("{name}-roots.json"));
        let mut arguments = vec!["simulate", provider, "--json", "--roots-out", &roots];
        arguments.extend(more);
        Program::start(&self.proveil, &self.work, name, &arguments)
    }

    fn proxy(&self, name: &str, more: &[&str]) -> Result<Program, String> {
        let mut arguments = vec!["proxy", "--json", "--listen", "127.0.0.1:0"];
        arguments.extend(more);
        Program::start(&self.proveil, &self.work, name, &arguments)
    }

    fn in_front_of(&self, simulator: &Program, more: &[&str]) -> Result<Program, String> {
        let [base, collateral, nvidia, roots] =
            ["base_url", "collateral_url", "nvidia_url", "trust_roots_file"]
                .map(|name| simulator.announced(name));
        let (base, collateral, nvidia, roots) = (base?, collateral?, nvidia?, roots?);
        let mut arguments =
            vec!["--provider", "venice", "--base-url", &base, "--collateral-url", &collateral];
        arguments.extend(["--nvidia-url", &nvidia, "--trust-roots", &roots]);
        arguments.extend(more);
        self.proxy("proxy", &arguments)
    }

    /// A proxy without a key, in front of the simulated Privatemode.
    fn for_callers(&self, simulator: &Program) -> Result<Program, String> {
        let [base, kds, roots] =
            ["base_url", "kds_url", "trust_roots_file"].map(|name| simulator.announced(name));
        let (base, kds, roots) = (base?, kds?, roots?);
        let mut arguments = vec!["--provider", "privatemode", "--base-url", &base, "--manifest-url", &base];
        arguments.extend(["--amd-url", &kds, "--trust-roots", &roots]);
        self.proxy("keyless", &arguments)
    }

    fn file(&self, name: &str) -> String {
        self.work.join(name).display().to_string()
    }

    fn picture(&self, tools: &mut Devtools, name: &str, whole: bool) -> Result<(), String> {
        let file: PathBuf = self.work.join(format!("page-{name}.png"));
        tools.picture(&file, whole)
    }

    fn endpoints(&self, tools: &mut Devtools, url: &str) -> Result<(), String> {
        tools.size(1280, 900)?;
        ready(tools, url, 2)?;
        for provider in ["venice", "privatemode"] {
            let card = format!(
                "[...document.querySelectorAll('.endpoint')].find((it) => it.dataset.key.startsWith('{provider}/'))"
            );
            for words in [
                "Verified against CUSTOM roots, L2",
                "not proven",
                "Valid until",
                "given to this proxy",
                "Who can read your prompt",
                "Not proven",
            ] {
                tools.expect(&format!("{card}.innerText.includes({})", json!(words)))?;
            }
            // What is not proven is in letters of the same size as what is, and each has a sign.
            tools.expect(&format!(
                "(([a, b]) => a === b)(['.word', '.unproven'].map((name) => getComputedStyle({card}.querySelector(name)).fontSize))"
            ))?;
            tools.expect(&format!(
                "[...{card}.querySelectorAll('.claims > *')].every((it) => it.querySelector('svg use'))"
            ))?;
            tools.expect(&format!("{card}.querySelectorAll('.parts li').length > 5"))?;
        }
        tools.expect("document.querySelector('#state').textContent === '2 of 2 endpoints verified now'")?;
        tools.expect(
            "![...document.querySelectorAll('#model option')].some((it) => /embed|whisper/.test(it.value))",
        )?;
        for (model, question) in [
            ("venice/e2ee-sim-reasoner-p", "What is remote attestation?"),
            ("privatemode/openai/sim-oss-120b", "Why do enclaves sign?"),
        ] {
            choose(tools, model)?;
            send(tools, question)?;
            tools.wait(ENDED)?;
            tools.expect(&format!("{LAST}.querySelector('.text').textContent.length > 80"))?;
            tools.expect(&format!("{LAST}.querySelector('.thoughts, details').hidden === false"))?;
            for words in ["Verified against CUSTOM roots, L2", "not proven", "Complete"] {
                tools
                    .expect(&format!("{LAST}.querySelector('.seal').innerText.includes({})", json!(words)))?;
            }
            tools.expect(&format!("{LAST}.querySelector('.from').textContent.endsWith({})", json!(model)))?;
        }
        tools.expect("document.querySelectorAll('.turn').length === 1")?;
        self.picture(tools, "chat", false)?;
        quiet(tools, &[])?;
        // The report opens as a page of its own.
        tools.evaluate(&format!("{LAST}.querySelector('.seal a').focus()"))?;
        tools.press("Enter")?;
        tools.switch_to("/report/")?;
        tools.wait("document.title.includes('VERIFIED') && document.title.includes('privatemode')")?;
        quiet(tools, &[])
    }

    fn keyboard(&self, tools: &mut Devtools, url: &str) -> Result<(), String> {
        tools.size(1280, 900)?;
        ready(tools, url, 2)?;
        let mut met: Vec<String> = Vec::new();
        for _ in 0..16 {
            tools.press("Tab")?;
            met.push(
                tools.text("((it) => it.id || it.className || it.textContent)(document.activeElement)")?,
            );
            tools.expect("((it) => it === document.body || (getComputedStyle(it).outlineStyle === 'solid' && parseFloat(getComputedStyle(it).outlineWidth) >= 2))(document.activeElement)")?;
            tools.expect("((it) => it === document.body || it.getAttribute('aria-label') || it.labels?.length || it.textContent.trim())(document.activeElement)")?;
        }
        for id in ["skip", "Full report", "model", "talk", "prompt", "send"] {
            if !met.iter().any(|name| name == id) {
                return Err(format!("Tab does not reach {id}: {met:?}"));
            }
        }
        // From the top with the skip link, a message of two lines, sent with Enter.
        ready(tools, url, 2)?;
        tools.press("Tab")?;
        tools.expect("document.activeElement.className === 'skip'")?;
        tools.press("Enter")?;
        tools.wait("document.activeElement.id === 'prompt'")?;
        tools.write("What is sealing?")?;
        tools.press("Shift+Enter")?;
        tools.write("In one sentence.")?;
        tools.expect("document.activeElement.value === 'What is sealing?\\nIn one sentence.'")?;
        tools.press("Enter")?;
        tools.wait(&format!("{LAST} && {ENDED}"))?;
        tools.expect("document.activeElement.id === 'prompt' && document.activeElement.value === ''")?;
        tools.expect("document.querySelector('.said').textContent.includes('\\n')")?;
        tools.expect("/Verified.*not proven.*Complete/.test(document.querySelector('#told').textContent)")?;
        tools.expect(&format!("{LAST}.querySelector('[aria-live=polite][aria-atomic=true]')"))?;
        // Another model with the arrows: a conversation of its own.
        let before = tools.text("document.querySelector('#model').value")?;
        tools.evaluate("document.querySelector('#model').focus()")?;
        tools.press("ArrowDown")?;
        tools.wait(&format!("document.querySelector('#model').value !== {}", json!(before)))?;
        tools.expect("document.querySelector('.turn').textContent.startsWith('Another model')")?;
        quiet(tools, &[])
    }

    fn strangers(&self, tools: &mut Devtools, url: &str) -> Result<(), String> {
        tools.size(1000, 900)?;
        // An answer that came sealed through a real exchange.
        ready(tools, url, 2)?;
        for model in ["venice/e2ee-sim-27b", "privatemode/openai/sim-oss-120b"] {
            choose(tools, model)?;
            send(tools, HOSTILE_WORD)?;
            tools.wait(ENDED)?;
            tools.expect(&format!("{LAST}.querySelector('.text').textContent.includes('<img/src')"))?;
        }
        unharmed(tools)?;
        // Every text of every document of the proxy that a provider has a say in.
        tools.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": doctor() }))?;
        tools.open(url)?;
        tools.wait("document.querySelectorAll('.endpoint.verified .parts li').length > 10")?;
        tools.wait(&format!(
            "[...document.querySelectorAll('#model option')].some((it) => it.textContent === {})",
            json!(HOSTILE)
        ))?;
        for place in [
            ".subject strong",
            ".subject code",
            ".line",
            ".parts li div",
            ".parts li > span",
            ".notice + .notice",
        ] {
            tools.expect(&format!(
                "document.querySelector({}).textContent.includes({})",
                json!(place),
                json!(HOSTILE)
            ))?;
        }
        tools.expect(&format!("document.querySelector('optgroup').label === {}", json!(HOSTILE)))?;
        tools.expect("[...document.querySelectorAll('a')].every((it) => it.protocol === 'http:' && it.host === location.host)")?;
        choose(tools, HOSTILE)?;
        send(tools, "Who are you?")?;
        tools.wait(ENDED)?;
        tools.expect(&format!("{LAST}.querySelector('.from').textContent.endsWith({})", json!(HOSTILE)))?;
        tools.expect(&format!("{LAST}.querySelector('.why').innerText.includes('PV-105')"))?;
        unharmed(tools)?;
        narrow(tools)?;
        quiet(tools, &["the server responded with a status of 400"])
    }

    fn refusal(&self, tools: &mut Devtools, url: &str) -> Result<(), String> {
        tools.size(1280, 900)?;
        tools.open(url)?;
        tools.wait("!document.querySelector('#access').hidden && document.activeElement.id === 'token'")?;
        tools.expect("document.querySelectorAll('.endpoint.verified').length === 0")?;
        self.picture(tools, "token", false)?;
        tools.write("not-the-right-token")?;
        tools.press("Enter")?;
        tools.wait("document.querySelector('#access-why').textContent.includes('not one of them')")?;
        tools.write(TOKEN)?;
        tools.press("Enter")?;
        tools.wait(
            "document.querySelector('#access').hidden && document.querySelector('.endpoint.refused')",
        )?;
        for words in ["Refused", "Nothing is sent to it", "Why", "Next", "PV-202"] {
            tools.expect(&format!(
                "document.querySelector('.endpoint.refused').innerText.includes({})",
                json!(words)
            ))?;
        }
        tools.expect("document.querySelector('#state').textContent === '0 of 1 endpoint verified now'")?;
        // Links that would need the token are not offered.
        tools.expect("document.querySelector('#elsewhere').hidden")?;
        choose(tools, "e2ee-sim-27b")?;
        send(tools, "Is anybody there?")?;
        tools.wait(&format!("{LAST} && {ENDED}"))?;
        let shown = tools.text(&format!("{LAST}.innerText"))?;
        for words in ["Refused: nothing was sent", "What", "Why", "Next", "PV-202", "Full report"] {
            if !shown.contains(words) {
                return Err(format!("{words:?} is not in the refusal: {shown}"));
            }
        }
        tools.expect(&format!(
            "!{LAST}.querySelector('.seal') && {LAST}.querySelector('.text').textContent === ''"
        ))?;
        tools.expect("document.querySelector('#prompt').value === 'Is anybody there?'")?;
        self.picture(tools, "refusal", false)?;
        // A page of its own would need the token, so the report is saved.
        let saved = self.work.join("saved");
        let allowed = json!({ "behavior": "allow", "downloadPath": saved.display().to_string() });
        tools.call("Browser.setDownloadBehavior", allowed)?;
        tools.evaluate(&format!("{LAST}.querySelector('a').focus()"))?;
        tools.press("Enter")?;
        until("a saved report", || {
            let files = std::fs::read_dir(&saved).into_iter().flatten().flatten();
            files
                .into_iter()
                .any(|file| std::fs::read_to_string(file.path()).is_ok_and(|text| text.contains("PV-202</")))
        })?;
        // The token is in no store, so it is gone with the page.
        tools.expect("localStorage.length + sessionStorage.length === 0 && document.cookie === ''")?;
        tools.expect(&format!("!document.documentElement.outerHTML.includes({})", json!(TOKEN)))?;
        tools.open(url)?;
        tools.wait("!document.querySelector('#access').hidden")?;
        quiet(
            tools,
            &["the server responded with a status of 401", "the server responded with a status of 403"],
        )
    }

    /// The page asks for the key that the proxy does not have, and shows what the first message proved.
    fn own_key(&self, tools: &mut Devtools, url: &str) -> Result<(), String> {
        tools.size(1280, 900)?;
        tools.open(url)?;
        tools.wait("!document.querySelector('#access').hidden && document.activeElement.id === 'token'")?;
        tools.write("key-of-the-page-test")?;
        tools.press("Enter")?;
        tools.wait("document.querySelector('#access').hidden")?;
        tools.expect("document.querySelector('#state').textContent === 'No endpoint is verified yet'")?;
        choose(tools, "openai/sim-oss-120b")?;
        send(tools, "Who are you?")?;
        tools.wait(&format!("{LAST} && {ENDED}"))?;
        tools.expect(&format!("{LAST}.querySelector('.seal').innerText.includes('Complete')"))?;
        tools.wait("document.querySelector('#state').textContent === '1 of 1 endpoint verified now'")?;
        quiet(tools, &["the server responded with a status of 401"])
    }

    fn incomplete(&self, tools: &mut Devtools, url: &str) -> Result<(), String> {
        tools.size(1280, 900)?;
        tools.prefer("light", true)?;
        ready(tools, url, 1)?;
        // Grows piece by piece, until somebody stops it.
        send(tools, "What is a stream?")?;
        tools.wait(&format!("{LAST}?.querySelector('.text').textContent.length > 10"))?;
        let early = tools.evaluate(&format!("{LAST}.querySelector('.text').textContent.length"))?;
        tools.wait(&format!("{LAST}.querySelector('.text').textContent.length > {early}"))?;
        tools.expect(&format!(
            "{LAST}.getAttribute('aria-busy') === 'true' && document.getAnimations().length === 0"
        ))?;
        tools.expect("!document.querySelector('#stop').hidden && document.querySelector('#send').hidden")?;
        tools.evaluate("document.querySelector('#stop').focus()")?;
        tools.press("Enter")?;
        tools.wait(ENDED)?;
        for words in ["Incomplete: stopped", "Verified against CUSTOM roots, L2"] {
            tools.expect(&format!("{LAST}.innerText.includes({})", json!(words)))?;
        }
        tools.expect("document.querySelector('#stop').hidden && document.activeElement.id === 'prompt'")?;
        // One that is cut on its way.
        send(tools, "What is a whole stream?")?;
        tools.wait(&format!("document.querySelectorAll('.answer').length === 2 && {ENDED}"))?;
        for words in ["Incomplete answer", "What", "Next", "PV-502"] {
            tools
                .expect(&format!("{LAST}.querySelector('.why.open').innerText.includes({})", json!(words)))?;
        }
        tools.expect(&format!(
            "{LAST}.classList.contains('cut') && !{LAST}.innerText.includes('Complete\\n')"
        ))?;
        tools.expect(&format!("{LAST}.querySelector('.end').textContent === 'Incomplete'"))?;
        self.picture(tools, "incomplete", false)?;
        quiet(tools, &[])
    }

    /// What was proven once is not drawn as proven for ever.
    fn gone(&self, tools: &mut Devtools, proxy: Program) -> Result<(), String> {
        ready(tools, &proxy.announced("url")?, 1)?;
        let shown = "document.querySelector('.endpoint.indeterminate:not(.verified)')?.innerText";
        tools.evaluate("((now) => { Date.now = () => now() + 3600000; })(Date.now)")?;
        tools
            .wait(&format!("{shown}?.includes('Its proof ended') && {shown}.includes('Could not check')"))?;
        tools.open(&proxy.announced("url")?)?;
        tools.wait("document.querySelector('.endpoint.verified')")?;
        quiet(tools, &[])?;
        drop(proxy);
        tools.evaluate("document.dispatchEvent(new Event('visibilitychange'))")?;
        tools.wait(&format!(
            "{shown}?.includes('may no longer hold') && {shown}.includes('Could not check')"
        ))?;
        tools.expect("document.querySelector('#state').textContent.includes('cannot be reached')")?;
        send(tools, "Hello?")?;
        tools.wait(&format!("{LAST} && {ENDED}"))?;
        tools.expect(&format!("{LAST}.querySelector('.why').innerText.includes('cannot be reached')"))?;
        quiet(tools, &["ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET"])
    }

    fn looks(&self, tools: &mut Devtools, url: &str) -> Result<(), String> {
        for (scheme, background) in [("light", "rgb(246, 245, 241)"), ("dark", "rgb(16, 19, 22)")] {
            tools.prefer(scheme, false)?;
            tools.size(1280, 900)?;
            ready(tools, url, 2)?;
            tools.expect(&format!("getComputedStyle(document.body).backgroundColor === '{background}'"))?;
            send(tools, "What is a nonce?")?;
            tools.wait(&format!("{LAST} && {ENDED}"))?;
            for place in [
                ".word",
                ".claims .unproven",
                ".until",
                ".parts .remark",
                ".tag",
                ".seal .end",
                "#send",
                ".note",
                ".state",
                "footer p",
            ] {
                tools.expect(&format!("({CONTRAST})({}) >= 4.5", json!(place)))?;
            }
            self.picture(tools, scheme, false)?;
            narrow(tools)?;
            self.picture(tools, &format!("narrow-{scheme}"), true)?;
            tools.size(768, 1024)?;
            self.picture(tools, &format!("middle-{scheme}"), false)?;
        }
        quiet(tools, &[])
    }

    /// The watch sees a script, an image and a request that do not belong there.
    fn offence(&self, tools: &mut Devtools, url: &str) -> Result<(), String> {
        ready(tools, url, 2)?;
        quiet(tools, &[])?;
        for (offence, sign) in [
            (
                "document.body.append(Object.assign(document.createElement('script'), { textContent: 'document.title = 1' }))",
                "policy:",
            ),
            (
                "document.body.append(Object.assign(new Image(), { src: 'https://evil.example/x.png' }))",
                "evil.example",
            ),
            ("fetch('https://evil.example/').catch(() => 0)", "evil.example"),
            ("console.error('oh')", "console:"),
        ] {
            tools.evaluate(&format!("{offence}, 0"))?;
            let start = std::time::Instant::now();
            while !tools.take_noise()?.iter().any(|noise| noise.contains(sign)) {
                if start.elapsed().as_secs() > 60 {
                    return Err(format!("not noticed: {offence}"));
                }
            }
        }
        tools.expect("document.title === 'Proveil local proxy'")
    }
}

/// Opens the page and waits until so many endpoints are shown as verified; earlier chats may have added some.
fn ready(tools: &mut Devtools, url: &str, endpoints: usize) -> Result<(), String> {
    tools.open(url)?;
    tools.wait(&format!("document.querySelectorAll('.endpoint.verified').length >= {endpoints}"))?;
    tools.wait("document.querySelectorAll('#model option').length > 1")
}

fn choose(tools: &mut Devtools, model: &str) -> Result<(), String> {
    tools.wait(&format!(
        "[...document.querySelectorAll('#model option')].some((it) => it.value === {})",
        json!(model)
    ))?;
    tools.evaluate(&format!(
        "((it) => {{ it.value = {}; it.dispatchEvent(new Event('change', {{ bubbles: true }})); }})(document.querySelector('#model'))",
        json!(model)
    ))?;
    Ok(())
}

fn send(tools: &mut Devtools, question: &str) -> Result<(), String> {
    tools.evaluate("((it) => { it.value = ''; it.focus(); })(document.querySelector('#prompt'))")?;
    tools.write(question)?;
    tools.press("Enter")?;
    tools
        .wait(&format!("[...document.querySelectorAll('.said')].at(-1)?.textContent === {}", json!(question)))
}

/// Waits for something outside the browser.
fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), String> {
    let start = std::time::Instant::now();
    while !holds() {
        if start.elapsed().as_secs() > 60 {
            return Err(format!("never came: {what}"));
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Ok(())
}

/// Nothing that came as text has become anything else.
fn unharmed(tools: &mut Devtools) -> Result<(), String> {
    tools.expect("document.title === 'Proveil local proxy' && document.querySelectorAll('img, iframe, object').length === 0")
}

fn narrow(tools: &mut Devtools) -> Result<(), String> {
    tools.size(320, 640)?;
    tools.expect("document.documentElement.scrollWidth <= 320")?;
    tools.expect("[...document.querySelectorAll('main *')].every((it) => it.closest('option, svg') || it.getBoundingClientRect().right <= 320.5)")
}

/// Nothing was complained about, run or asked for, except failures that the case is about.
fn quiet(tools: &mut Devtools, meant: &[&str]) -> Result<(), String> {
    let noise = tools.take_noise()?;
    let stray: Vec<&String> =
        noise.iter().filter(|line| !meant.iter().any(|words| line.contains(words))).collect();
    if stray.is_empty() { Ok(()) } else { Err(format!("the browser complains: {stray:#?}")) }
}

/// A script that puts markup into every text of the proxy's documents in which a provider or a configuration has a say.
fn doctor() -> String {
    let names =
        ["provider", "line", "name", "note", "headline", "found", "expected", "title", "hint", "owned_by"];
    let names: Value = json!(names);
    format!(
        "const plain = window.fetch;
         window.fetch = async (path, options) => {{
           const answer = await plain(path, options);
           if (!/json$|models$/.test(path)) return answer;
           const document = JSON.parse(await answer.text(), (name, value) => {{
             if (name === 'not_proven') return [{hostile}, ...value];
             if (name === 'relaxations') return [{hostile}];
             if (name === 'model' || name === 'id') return {hostile};
             if (name === 'report' && typeof value === 'string') return value;
             return {names}.includes(name) && typeof value === 'string' ? {hostile} : value;
           }});
           return new Response(JSON.stringify(document), {{ status: answer.status, headers: answer.headers }});
         }};",
        hostile = json!(HOSTILE),
    )
}
