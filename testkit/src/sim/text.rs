//! A small deterministic text generator, so that a simulated chat reads naturally. No model runs: the words follow from the
//! question alone.

use sha2::{Digest, Sha256};

/// An answer to a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What a reasoning model thinks first.
    pub reasoning: Option<String>,
    /// The answer.
    pub content: String,
}

const OPENERS: [&str; 4] = [
    "Good question — let me take it step by step.",
    "Happy to help with that.",
    "Here is a short answer, then the reason behind it.",
    "Let’s look at this together.",
];

const BODIES: [&str; 4] = [
    "Think of {topic} as a conversation held in a sealed room: what matters is not only what is said, but who can prove that the \
     door stayed shut.",
    "The heart of {topic} is a simple idea with many details, and the details are where care pays off.",
    "People who meet {topic} for the first time often start from the outside; it becomes clear once you start from the thing that \
     must never go wrong.",
    "There are two honest ways to look at {topic}: what it promises on paper, and what you can check for yourself.",
];

const EXTRAS: [&str; 4] = [
    "A naïve approach works until somebody tries to break it; after that, every assumption has to be written down.",
    "Start small, measure, and keep what the measurement supports — that is most of the craft.",
    "If two sources disagree, prefer the one that shows its evidence.",
    "In practice the difference is a few microseconds (≈ 45 µs a piece), which nobody notices at the keyboard.",
];

/// End of an answer that leaves the enclave in clear.
const CLEAR_CLOSER: &str =
    "I am a simulated model, and neither your question nor this answer was end-to-end encrypted. ✗";

const CLOSERS: [&str; 4] = [
    "I am a simulated model, so treat this as a rehearsal: the words are canned, the encryption around them is real. ✓",
    "This came from a simulator, yet each piece of it was sealed to a key that only your process holds. ✓",
    "No real model was asked — but your question really did arrive here as ciphertext, and this answer leaves the same way. ✓",
    "(Written by Proveil’s simulator; the proof and the sealing you just saw are the real thing. ✓)",
];

/// Words that do not make a topic.
const STOP_WORDS: [&str; 64] = [
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "but", "by", "can", "could", "did", "do",
    "does", "explain", "for", "from", "give", "has", "have", "hello", "help", "hi", "how", "i", "in", "into",
    "is", "it", "its", "know", "like", "me", "mean", "my", "no", "not", "of", "on", "one", "or", "please",
    "say", "sentence", "should", "short", "tell", "that", "the", "this", "to", "us", "was", "we", "what",
    "when", "where", "which", "who", "why", "with", "you",
];

/// The answer to `prompt`; the same arguments give the same answer. `variant` tells several choices apart, `sealed` says whether
/// the answer may speak of its encryption.
pub fn answer(prompt: &str, reasoning: bool, variant: u8, sealed: bool) -> Answer {
    let topic = format!("“{}”", topic(prompt));
    let digest = Sha256::new().chain_update([variant]).chain_update(prompt).finalize();
    let mut picks = digest.iter();
    let mut pick = |from: &[&'static str; 4]| {
        let index = usize::from(picks.next().copied().unwrap_or(0) & 3);
        from.get(index).copied().unwrap_or_default()
    };
    let closer = pick(&CLOSERS);
    let closer = if sealed { closer } else { CLEAR_CLOSER };
    let sentences = [pick(&OPENERS), pick(&BODIES), pick(&EXTRAS), closer];
    let reasoning = reasoning.then(|| {
        format!(
            "The question is about {topic}. I should answer in a few plain sentences, name the main idea first, and not claim more \
             than I can show…"
        )
    });
    Answer { reasoning, content: sentences.join(" ").replace("{topic}", &topic) }
}

/// The words of a prompt that seem to matter, at most three that stand next to each other.
fn topic(prompt: &str) -> String {
    let is_word = |word: &&str| {
        let lower = word.to_lowercase();
        !word.is_empty() && !STOP_WORDS.contains(&lower.as_str())
    };
    let trimmed = prompt.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    let words: Vec<&str> = trimmed.skip_while(|word| !is_word(word)).take_while(is_word).take(3).collect();
    if words.is_empty() { "this".to_owned() } else { words.join(" ").chars().take(60).collect() }
}

/// Splits a text into pieces of the size of a model's tokens; joined they give the text.
pub fn tokens(text: &str) -> Vec<String> {
    const LONGEST: usize = 7;
    let mut pieces: Vec<String> = Vec::new();
    let mut current = String::new();
    for character in text.chars() {
        let starts_piece = character == ' ' || current.chars().count() >= LONGEST;
        if starts_piece && !current.is_empty() {
            pieces.push(std::mem::take(&mut current));
        }
        current.push(character);
    }
    if !current.is_empty() {
        pieces.push(current);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_follow_from_the_prompt() {
        let first = answer("What is remote attestation, please?", false, 0, true);
        assert_eq!(first, answer("What is remote attestation, please?", false, 0, true));
        assert!(first.content.contains("remote attestation"), "{}", first.content);
        assert_ne!(first.content, answer("What is remote attestation, please?", false, 1, true).content);
        assert!(answer("x", false, 0, false).content.ends_with(CLEAR_CLOSER));
        assert!(!first.content.is_ascii() && first.reasoning.is_none());
        for prompt in ["", "hi", "???", "日本語で答えて", &"x".repeat(10_000)] {
            let answer = answer(prompt, true, 0, true);
            assert!(!answer.content.contains('{'), "{prompt}");
            assert!(answer.reasoning.is_some());
            let pieces = tokens(&answer.content);
            assert!(pieces.len() > 20 && pieces.concat() == answer.content);
            assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.chars().count() <= 8));
        }
    }
}
