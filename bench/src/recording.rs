//! A sealed answer as a Venice server streams it, made here, with the private key that opens it.

use std::fs;
use std::io;
use std::path::Path;

use proveil_core::crypto::{POINT_LEN, SecureRandom, secp256k1_public_key, sha256};
use proveil_core::endpoint::Opener;
use proveil_core::error::Result;
use proveil_core::http::ResponseHead;
use proveil_core::provider::opener_for_key;
use proveil_core::seal::ecies::seal_field;
use proveil_core::secret::Secret;

/// Events in one network piece where whole pieces are given.
pub const EVENTS_PER_PIECE: usize = 32;
/// Tokens of an answer, over and over.
const TOKENS: [&str; 8] = ["The", " sky", " is", " blue", ",", " caf\u{e9}", " \u{2192}", " done"];
const END: &[u8] = b"data: [DONE]\n\n";

/// Which keys the server seals with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ServerKeys {
    /// A fresh one for each event, as servers do.
    Fresh,
    /// One for the whole answer.
    Repeated,
}

/// The answer.
pub struct Recording {
    key: [u8; 32],
    /// One event each: `data: {...}` and a blank line.
    pub events: Vec<Vec<u8>>,
    /// The envelopes in the events, decoded.
    pub envelopes: Vec<Vec<u8>>,
}

impl Recording {
    /// An answer of `count` tokens.
    pub fn make(count: usize, keys: ServerKeys) -> Recording {
        let key = sha256(&[b"bench client key"]);
        let client = secp256k1_public_key(&Secret::take(&mut key.clone())).expect("a valid key");
        let mut random = Counter { keys, drawn: 0 };
        let mut events = Vec::with_capacity(count);
        let mut envelopes = Vec::with_capacity(count);
        for token in TOKENS.iter().cycle().take(count) {
            let sealed = seal(&client, token, &mut random);
            envelopes.push(const_hex::decode(&sealed).expect("hex"));
            events.push(event(&sealed).into_bytes());
        }
        Recording { key, events, envelopes }
    }

    /// Private key of the reader.
    pub fn key(&self) -> Secret<32> {
        Secret::take(&mut self.key.clone())
    }

    /// An opener that has seen the head.
    pub fn open(&self) -> Opener {
        let mut opener = opener_for_key(self.key(), false).expect("a valid key");
        let headers = [("content-type".to_owned(), "text/event-stream".to_owned())];
        opener.head(&ResponseHead::new(200, headers)).expect("a good head");
        opener
    }

    /// The answer in pieces of [`EVENTS_PER_PIECE`] events.
    pub fn pieces(&self) -> Vec<Vec<u8>> {
        self.events.chunks(EVENTS_PER_PIECE).map(|events| events.concat()).collect()
    }

    /// Writes the answer (`stream.sse`) and the key as hex (`stream.key`), for the measurements in other languages.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        fs::write(dir.join("stream.key"), const_hex::encode(self.key))?;
        let mut stream = self.events.concat();
        stream.extend_from_slice(END);
        fs::write(dir.join("stream.sse"), stream)
    }
}

fn seal(client: &[u8; POINT_LEN], token: &str, random: &mut Counter) -> String {
    let mut sealed = String::new();
    seal_field(client, token.as_bytes(), random, &mut sealed).expect("a good recipient");
    sealed
}

/// An event with the members that the servers behind Venice send.
fn event(sealed: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-8f14e45fceea167a5a36dedd4bea2543\",\"object\":\"chat.completion.chunk\",\
         \"created\":1790000000,\"model\":\"e2ee-glm-5-2-p\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"\
         {sealed}\"}},\"logprobs\":null,\"finish_reason\":null,\"token_ids\":null}}]}}\n\n"
    )
}

/// Numbers in a row, hashed. The sealing key is the first thing drawn for a field, and the only one of its length.
struct Counter {
    keys: ServerKeys,
    drawn: u64,
}

impl SecureRandom for Counter {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        self.drawn += 1;
        let repeat = self.keys == ServerKeys::Repeated && out.len() == 32;
        let number = if repeat { 0 } else { self.drawn };
        out.copy_from_slice(&sha256(&[&number.to_be_bytes()])[..out.len()]);
        Ok(())
    }
}
