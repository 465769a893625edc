//! The shard key (protocols/privatemode.md 7.2): tells the gateway which requests begin alike, so that one worker can reuse its prompt
//! cache. Says nothing about content without the salt.

use zeroize::Zeroizing;

use crate::crypto::sha256;
use crate::openai::select::Document;
use crate::secret::wipe;
use crate::wire::{hex, raw};

/// Members that a prompt is made of, in the order of chat templates.
const CONTENT_MEMBERS: [&str; 5] = ["system", "tools", "messages", "prompt", "suffix"];
/// A token is counted as four bytes.
const TOKEN_BYTES: usize = 4;
/// Larger content has no shard key.
const MAX_TOKENS: usize = 1_000_000;
/// Hex digits of the salt's hash at the start of each key.
const SALT_HASH_DIGITS: usize = 16;
/// Tokens of a block; blocks grow where so many tokens have been read.
const FIRST_STEP: usize = 16;
const GROWTH: [(usize, usize); 2] = [(1024, 128), (100_096, 512)];
const LARGEST_BLOCK_BYTES: usize = 512 * TOKEN_BYTES;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A shard key in the making: content goes in by pieces of any size, each byte is hashed once, and no more than one block is kept.
pub struct ShardKey {
    hash: [u8; 32],
    key: String,
    step: usize,
    /// Tokens hashed so far.
    tokens: usize,
    block: Zeroizing<Vec<u8>>,
    bytes: usize,
}

impl ShardKey {
    /// Starts with the bytes of the salt.
    pub fn new(salt: &[u8]) -> ShardKey {
        let hash = sha256(&[salt]);
        let mut key = hex::encode(&hash);
        key.truncate(SALT_HASH_DIGITS);
        let block = Zeroizing::new(Vec::with_capacity(LARGEST_BLOCK_BYTES));
        ShardKey { hash, key, step: FIRST_STEP, tokens: 0, block, bytes: 0 }
    }

    fn is_too_large(&self) -> bool {
        self.bytes / TOKEN_BYTES > MAX_TOKENS
    }

    /// Adds content.
    pub fn push(&mut self, mut content: &[u8]) {
        self.bytes = self.bytes.saturating_add(content.len());
        while !content.is_empty() && !self.is_too_large() {
            let block_bytes = self.step.saturating_mul(TOKEN_BYTES);
            if self.block.is_empty()
                && let Some((whole, rest)) = content.split_at_checked(block_bytes)
            {
                self.hash_block(whole);
                content = rest;
                continue;
            }
            let missing = block_bytes.saturating_sub(self.block.len()).min(content.len());
            let (part, rest) = content.split_at_checked(missing).unwrap_or((content, &[]));
            self.block.extend_from_slice(part);
            content = rest;
            if self.block.len() == block_bytes {
                let mut block = std::mem::take(&mut self.block);
                self.hash_block(&block);
                wipe(&mut block);
                block.clear();
                self.block = block;
            }
        }
    }

    fn hash_block(&mut self, block: &[u8]) {
        self.hash = sha256(&[&self.hash, block]);
        if self.tokens == 0 {
            self.key.push('-');
        }
        let [.., last] = self.hash;
        let character = ALPHABET.get(usize::from(last & 63)).copied().unwrap_or_default();
        self.key.push(char::from(character));
        self.tokens = self.tokens.saturating_add(self.step);
        if let Some((_, step)) = GROWTH.iter().find(|(at, _)| *at == self.tokens) {
            self.step = *step;
        }
    }

    /// The key; `None` for content that is too large for one.
    pub fn finish(self) -> Option<String> {
        (!self.is_too_large()).then_some(self.key)
    }
}

/// The shard key of a request body under a salt; `None` for content that is too large for one.
pub fn shard_key_of(document: &Document<'_>, salt: &str) -> Option<String> {
    let mut key = ShardKey::new(salt.as_bytes());
    for value in CONTENT_MEMBERS.iter().filter_map(|name| document.get(name)) {
        if value.starts_with('"') {
            // Half a surrogate pair ends the content early: the key is a hint, the request goes on.
            let _ = raw::decode_pieces(value, |piece| key.push(piece.as_bytes()));
        } else if value != "null" {
            key.push(value.as_bytes());
        }
        if key.is_too_large() {
            return None;
        }
    }
    key.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any cutting of the content gives the same key.
    #[test]
    fn pieces_do_not_matter() {
        let content: Vec<u8> = (0..20_000u32).map(|i| ((i * i) >> 3).to_le_bytes()[0]).collect();
        let whole = |content: &[u8]| {
            let mut key = ShardKey::new(b"salt");
            key.push(content);
            key.finish().unwrap()
        };
        for size in [1, 3, 63, 64, 65, 511, 2048, 7000] {
            let mut key = ShardKey::new(b"salt");
            content.chunks(size).for_each(|piece| key.push(piece));
            assert_eq!(key.finish().unwrap(), whole(&content), "{size}");
        }
    }

    #[test]
    fn content_in_order_and_as_text() {
        let key = |text: &str| shard_key_of(&Document::parse(text).unwrap(), "salt").unwrap();
        let expected = |content: &str| {
            let mut key = ShardKey::new(b"salt");
            key.push(content.as_bytes());
            key.finish().unwrap()
        };
        let (system, messages) =
            ("s\u{e4}\n".repeat(30), format!("[{{\"content\": \"{}\"}}]", "\\u00e4".repeat(30)));
        let text = format!(
            "{{\"messages\":{messages},\"suffix\":\"z\",\"system\":\"{}\",\"tools\":null,\"x\":1}}",
            "s\\u00e4\\n".repeat(30)
        );
        assert_eq!(key(&text), expected(&format!("{system}{messages}z")));
        // T44: too large is noticed before it is hashed to its end.
        let large = format!("{{\"messages\":\"{}\"}}", "x".repeat(4_000_004));
        assert_eq!(shard_key_of(&Document::parse(&large).unwrap(), "salt"), None);
    }
}
