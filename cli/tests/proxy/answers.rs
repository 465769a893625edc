//! Answers in the caller's shape, from both providers.

use serde_json::{Value, json};

use crate::stage::{PROMPT, Privatemode, Venice, both, chat};

const VENICE: &str = "venice/e2ee-sim-27b";
const REASONER: &str = "venice/e2ee-sim-reasoner-p";
const PRIVATEMODE: &str = "privatemode/sim-kimi-2";

fn deltas(events: &[String]) -> String {
    let texts = events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
    texts.filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned())).collect()
}

/// Streamed or not, through either provider: the same question has the same shape of answer.
#[test]
fn chats() {
    for model in [VENICE, REASONER, PRIVATEMODE] {
        let whole = both().chat(model, false);
        assert_eq!(whole.status, 200, "{whole:?}");
        assert_eq!(whole.headers["content-type"], "application/json");
        assert!(whole.headers["x-proveil-verdict"].starts_with("verified L2"), "{whole:?}");
        let document = whole.json();
        assert_eq!(document["object"], "chat.completion");
        let content = document["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
        assert!(content.len() > 40, "{content}");
        assert_eq!(document["choices"][0]["finish_reason"], "stop");

        let streamed = both().chat(model, true);
        assert_eq!(streamed.status, 200);
        assert!(streamed.headers["content-type"].starts_with("text/event-stream"));
        let events = streamed.events();
        assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
        assert_eq!(deltas(&events), content, "{model}");
        assert!(both().get(&streamed.headers["x-proveil-report"]).body.contains("VERIFIED"));
    }
}

/// A model's call of a tool passes as it is, streamed and whole.
#[test]
fn tools_are_called() {
    for stream in [true, false] {
        let mut body = chat(PRIVATEMODE, stream);
        body["messages"] = json!([{ "role": "user", "content": "Please use the tool." }]);
        body["tools"] = json!([{ "type": "function", "function": { "name": "weather", "parameters": {
            "type": "object", "properties": { "city": { "type": "string" } } } } }]);
        let answer = both().post("/v1/chat/completions", &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        let documents: Vec<Value> = if stream {
            answer.events().iter().filter_map(|event| serde_json::from_str(event).ok()).collect()
        } else {
            vec![answer.json()]
        };
        let part = if stream { "delta" } else { "message" };
        let calls = documents.iter().map(|json| &json["choices"][0][part]["tool_calls"][0]["function"]);
        let text =
            |name: &str| calls.clone().filter_map(|call| call[name].as_str()).collect::<Vec<_>>().concat();
        assert_eq!(text("name"), "weather", "{answer:?}");
        assert_eq!(serde_json::from_str::<Value>(&text("arguments")).unwrap(), json!({ "city": "Berlin" }));
        let ends = documents.iter().filter_map(|json| json["choices"][0]["finish_reason"].as_str());
        assert_eq!(ends.collect::<Vec<_>>(), ["tool_calls"], "{answer:?}");
    }
}

#[test]
fn usage_is_streamed_where_it_is_asked_for() {
    for model in [VENICE, PRIVATEMODE] {
        let with = |options: Value| {
            let mut body = chat(model, true);
            body["stream_options"] = options;
            let answer = both().post("/v1/chat/completions", &body);
            let events = answer.events();
            // Clients take the first choice of every event.
            let bare = events.iter().filter(|event| event.contains("\"choices\":[]")).count();
            let counted = events.iter().filter(|event| event.contains("\"usage\":{")).count();
            (bare, counted)
        };
        assert_eq!(with(json!({ "include_usage": true })), (1, 1), "{model}");
        assert_eq!(with(json!({ "include_usage": false })), (0, 0), "{model}");
    }
}

/// Anthropic's API in front of a provider that has it, and of one that only knows chats.
#[test]
fn messages() {
    for model in [VENICE, "privatemode/openai/sim-oss-120b"] {
        let body = |stream: bool| {
            json!({ "model": model, "max_tokens": 400, "stream": stream,
            "messages": [{ "role": "user", "content": PROMPT }] })
        };
        let whole = both().post("/v1/messages", &body(false));
        assert_eq!(whole.status, 200, "{whole:?}");
        let message = whole.json();
        assert_eq!(
            (message["type"].as_str(), message["role"].as_str()),
            (Some("message"), Some("assistant"))
        );
        let blocks = message["content"].as_array().unwrap();
        assert!(
            blocks.iter().any(|block| block["type"] == "text" && block["text"].as_str().unwrap().len() > 40)
        );
        let streamed = both().post("/v1/messages", &body(true));
        let events: Vec<Value> =
            streamed.events().iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(kinds.first(), Some(&"message_start"), "{model}");
        assert_eq!(kinds.last(), Some(&"message_stop"), "{model}");
        for (event, kind) in streamed.body.lines().filter_map(|line| line.strip_prefix("event: ")).zip(&kinds)
        {
            assert_eq!(event, *kind);
        }
    }
}

#[test]
fn other_endpoints() {
    let texts = json!({ "model": "privatemode/sim-embedding-4b", "input": ["a", "b"] });
    let embedded = both().post("/v1/embeddings", &texts);
    assert_eq!(embedded.status, 200, "{embedded:?}");
    assert_eq!(embedded.json()["data"].as_array().unwrap().len(), 2);

    let form = "--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nprivatemode/openai/sim-whisper-3\r\n\
                --B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF....WAVE\r\n--B--\r\n";
    let headers = [("content-type", "multipart/form-data; boundary=B")];
    let heard = both().send("POST", "/v1/audio/transcriptions", &headers, form.as_bytes());
    assert_eq!(heard.status, 200, "{heard:?}");
    assert!(heard.json()["text"].as_str().unwrap().len() > 5);

    let prompt = json!({ "model": "privatemode/sim-kimi-2", "prompt": "a", "max_tokens": 20 });
    let completed = both().post("/v1/completions", &prompt);
    assert_eq!(completed.status, 200, "{completed:?}");
}

#[test]
fn models_by_every_name() {
    let list = both().get("/v1/models").json();
    let ids: Vec<&str> =
        list["data"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&VENICE) && ids.contains(&PRIVATEMODE), "{ids:?}");
    for (id, status) in [
        (VENICE, 200),
        ("e2ee-sim-27b", 200),
        ("privatemode%2Fopenai%2Fsim-oss-120b", 200),
        ("sim-oss-120b", 200),
        ("nothing", 400),
    ] {
        assert_eq!(both().get(&format!("/v1/models/{id}")).status, status, "{id}");
    }
    for model in ["e2ee-sim-27b", "sim-kimi-2", "sim-oss-120b"] {
        assert_eq!(both().chat(model, false).status, 200, "{model}");
    }
}

/// Nothing is sent to anybody for a request that cannot be sealed or that nobody serves.
#[test]
fn bad_input_is_answered_here() {
    let venice = Venice::new(&[], &[]);
    venice.proxy.chat("e2ee-sim-27b", false);
    venice.sim.clear_recorded();
    let chat = |change: &dyn Fn(&mut Value)| {
        let mut body = chat("e2ee-sim-27b", false);
        change(&mut body);
        venice.proxy.post("/v1/chat/completions", &body)
    };
    type Change<'a> = &'a dyn Fn(&mut Value);
    let cases: [(&str, Change<'_>, u16, &str); 7] = [
        (
            "tools",
            &|body| body["tools"] = json!([{ "type": "function", "function": { "name": "f" } }]),
            400,
            "PV-112",
        ),
        (
            "a switch for encryption",
            &|body| body["venice_parameters"] = json!({ "enable_e2ee": false }),
            400,
            "PV-108",
        ),
        ("an unknown member", &|body| body["color"] = json!("blue"), 400, "PV-119"),
        ("an unknown model", &|body| body["model"] = json!("e2ee-sim-72b"), 400, "PV-105"),
        ("a model in clear", &|body| body["model"] = json!("sim-plain"), 400, "PV-105"),
        ("no model", &|body| body["model"] = json!(null), 400, "PV-101"),
        ("no messages", &|body| body["messages"] = json!([]), 400, "PV-118"),
    ];
    for (what, change, status, code) in cases {
        let answer = chat(change);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{what}: {answer:?}");
        assert_eq!(answer.headers["x-should-retry"], "false", "{what}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().len() > 20);
    }
    assert!(
        chat(&|body| body["model"] = json!("e2ee-sim-72b")).body.contains("Did you mean `e2ee-sim-27b`?")
    );
    for (path, status, code) in [
        ("/v1/embeddings", 404, "PV-124"),
        ("/v1/responses", 404, "PV-124"),
        ("/v1/images/generations", 404, "PV-124"),
        ("/v1/chat/completions/", 404, "PV-124"),
    ] {
        let answer = venice.proxy.post(path, &json!({ "model": "e2ee-sim-27b", "input": "a" }));
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
    let messages = json!({ "model": "e2ee-sim-27b", "max_tokens": 1, "tools": [], "messages": [{ "role": "user", "content": "a" }] });
    let refused = venice.proxy.post("/v1/messages", &messages).json();
    assert_eq!(
        (&refused["type"], &refused["error"]["type"]),
        (&json!("error"), &json!("invalid_request_error"))
    );
    for body in ["", "[]", "{", "{\"model\":\"a\",\"model\":\"b\"}", "\u{feff}{}"] {
        let answer = venice.proxy.send(
            "POST",
            "/v1/chat/completions",
            &[("content-type", "application/json")],
            body.as_bytes(),
        );
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
    }
    assert_eq!(venice.sim.recorded().to_path("/chat/completions").count(), 0);
}

/// T46, T47: what the provider sees is sealed, and nothing of the caller's head.
#[test]
fn t47_nothing_of_the_caller_travels() {
    let venice = Venice::new(&[], &[]);
    let privatemode = Privatemode::new(&[], &[]);
    let secret = "canary-header-7741";
    let headers = [
        ("content-type", "application/json"),
        ("cookie", secret),
        ("authorization", "Bearer canary-header-7741"),
        ("openai-organization", secret),
        ("x-forwarded-for", secret),
        ("user-agent", secret),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    for (proxy, model) in [(&venice.proxy, "e2ee-sim-27b"), (&privatemode.proxy, "sim-kimi-2")] {
        let body = chat(model, false).to_string();
        let answer =
            proxy.send("POST", "/v1/chat/completions?secret=canary-header-7741", &headers, body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.headers["traceparent"], headers[6].1);
        assert!(proxy.log().contains("0af7651916cd43dd8448eb211c80319c"));
        assert!(!proxy.log().contains("canary"), "{}", proxy.log());
    }
    for text in [secret, "0af7651916cd43dd8448eb211c80319c", "canary-prompt"] {
        assert!(!venice.sim.recorded().saw_in_clear(text), "{text}");
        assert!(!privatemode.sim.recorded().saw_in_clear(text), "{text}");
    }
}

/// Tools in the prompt, for a provider that cannot carry them: off unless asked for, and then the model's words are checked.
#[test]
fn emulated_tools_reach_the_model_sealed() {
    let mut body = chat(VENICE, false);
    body["tools"] = json!([{ "type": "function", "function": { "name": "weather", "parameters": { "type": "object" } } }]);
    let answer = both().post("/v1/chat/completions", &body);
    // The simulated model calls nothing by itself.
    assert_eq!(
        (answer.status, &answer.json()["choices"][0]["finish_reason"]),
        (200, &json!("stop")),
        "{answer:?}"
    );
    body["tool_choice"] = json!("required");
    let answer = both().post("/v1/chat/completions", &body);
    assert_eq!((answer.status, answer.code().as_str()), (502, "PV-516"));
}

/// A whole round: a question that needs a tool, the call, its result (as a text, and as the parts that LangChain sends), the answer.
#[test]
fn an_emulated_tool_round_trip() {
    let venice = Venice::new(&[], &["--emulate-tools"]);
    let tools = json!([{ "type": "function", "function": { "name": "weather", "strict": true, "parameters": {
        "type": "object", "properties": { "city": { "type": "string" }, "days": { "type": "integer" } },
        "required": ["city", "days"], "additionalProperties": false } } }]);
    let question = json!({ "role": "user", "content": "Please use the tool for canary-weather-7741." });
    let result = |kind: usize| match kind {
        0 => json!("canary-sunny-7741 skies"),
        _ => {
            json!([{ "type": "text", "text": "canary-sunny-7741 skies" }, { "type": "text", "text": "all day" }])
        }
    };
    for (stream, kind) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
        let asked = |messages: Value| {
            let body =
                json!({ "model": "e2ee-sim-27b", "stream": stream, "tools": tools, "messages": messages });
            venice.proxy.post("/v1/chat/completions", &body)
        };
        let answer = asked(json!([question]));
        assert_eq!(answer.status, 200, "{answer:?}");
        let (said, calls, finish) = message(&answer, stream);
        assert_eq!((said.trim(), finish.as_str()), ("Let me look that up.", "tool_calls"), "{answer:?}");
        let [call] = calls.as_slice() else { panic!("{answer:?}") };
        assert_eq!((&call["type"], &call["function"]["name"]), (&json!("function"), &json!("weather")));
        let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(arguments, json!({ "city": "Berlin", "days": 1 }));
        let called = json!({ "role": "assistant", "content": [{ "type": "text", "text": said }], "tool_calls": calls });
        let told = json!({ "role": "tool", "tool_call_id": call["id"], "content": result(kind) });
        let answer = asked(json!([question, called, told]));
        let (said, calls, finish) = message(&answer, stream);
        assert_eq!((calls.len(), finish.as_str()), (0, "stop"), "{answer:?}");
        assert!(said.contains("canary-sunny-7741 skies"), "the answer is about the result: {said}");
        let recorded = venice.sim.recorded();
        let texts: Vec<String> = recorded.prompts().iter().map(|text| (*text).to_owned()).collect();
        let heard = texts.join("\n");
        assert!(heard.contains("Let me look that up.") && heard.contains("\"Berlin\""), "{heard}");
        assert!(kind == 0 || heard.contains("skies\nall day\n</tool_result>"), "{heard}");
    }
    assert!(!venice.sim.recorded().saw_in_clear("canary") && !venice.sim.recorded().saw_in_clear("Berlin"));
    // What cannot be told the model is not sent.
    let image = json!([{ "type": "image_url", "image_url": { "url": "data:image/png;base64,AA==" } }]);
    let told = json!({ "role": "tool", "tool_call_id": "1", "content": image });
    let sent = venice.sim.recorded().to_path(proveil_testkit::sim::CHAT_PATH).count();
    let body = json!({ "model": "e2ee-sim-27b", "tools": tools, "messages": [question, told] });
    let answer = venice.proxy.post("/v1/chat/completions", &body);
    assert_eq!((answer.status, answer.code().as_str()), (400, "PV-113"), "{answer:?}");
    assert_eq!(answer.json()["error"]["details"]["check"], "messages/1/content/0");
    assert_eq!(venice.sim.recorded().to_path(proveil_testkit::sim::CHAT_PATH).count(), sent);
}

/// Text, calls and reason of an end.
fn message(answer: &crate::stage::Answer, stream: bool) -> (String, Vec<Value>, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    if !stream {
        let choice = &answer.json()["choices"][0];
        let message = &choice["message"];
        return (text(&message["content"]), list(&message["tool_calls"]), text(&choice["finish_reason"]));
    }
    let events = answer.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{answer:?}");
    let (mut said, mut calls, mut finish) = (String::new(), Vec::new(), String::new());
    for event in events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok()) {
        let choice = &event["choices"][0];
        said.push_str(&text(&choice["delta"]["content"]));
        calls.extend(list(&choice["delta"]["tool_calls"]));
        finish.push_str(&text(&choice["finish_reason"]));
    }
    (said, calls, finish)
}

/// Aliases of a configuration hold in front of the simulated providers too.
#[test]
fn a_demo_with_aliases() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("proveil.toml");
    std::fs::write(&file, format!("[models]\nfast = [\"{VENICE}\"]\n")).unwrap();
    let proxy = crate::stage::Proxy::start(home, &["--demo", "--config", file.to_str().unwrap()], &[]);
    let answer = proxy.chat("fast", false);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["x-proveil-provider"], "venice");
}
