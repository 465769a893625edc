//! Opens the envelopes of one push, on several threads when there are enough of them.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::steps::Step;
use crate::crypto::POINT_LEN;
use crate::error::{Code, Result};
use crate::seal::ecies::{FieldOpener, KeyMemory, PLAINTEXT_OFFSET, open_in_place};
use crate::secret::Secret;

/// Curve multiplications in one push from which on threads pay for themselves (each costs about 45 us, a thread about 30 us).
const PARALLEL_MIN_KEYS: usize = 8;

/// Where the plaintext of an envelope lies once it is open.
pub(super) fn range_of(envelope: &Range<usize>, plaintext: usize) -> Range<usize> {
    let start = envelope.start.saturating_add(PLAINTEXT_OFFSET);
    start..start.saturating_add(plaintext)
}

pub(super) fn open_range(
    secret: &Secret<32>,
    memory: &mut KeyMemory,
    arena: &mut [u8],
    envelope: &Range<usize>,
) -> Result<usize> {
    let envelope = arena.get_mut(envelope.clone()).ok_or(Code::Internal)?;
    open_in_place(secret, memory, envelope).map(|plaintext| plaintext.len())
}

/// Opens all envelopes on several threads when that is worth it; otherwise each is opened when its turn comes.
pub(super) fn open_ahead(opener: &mut FieldOpener, arena: &mut [u8], steps: &mut [Step], workers: usize) {
    let (secret, memory) = opener.parts();
    if workers < 2 || count_keys(arena, steps, memory) < PARALLEL_MIN_KEYS {
        return;
    }
    let mut jobs = Vec::new();
    let mut rest = arena;
    for step in steps {
        if let Step::Sealed { envelope, opened, .. } = step {
            let Some((head, tail)) = std::mem::take(&mut rest).split_at_mut_checked(envelope.len()) else {
                return;
            };
            jobs.push((head, opened));
            rest = tail;
        }
    }
    let workers = workers.min(jobs.len() / 4);
    let queue = Mutex::new(jobs.into_iter());
    let work = |memory: &mut KeyMemory| {
        loop {
            let job = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((envelope, opened)) = job else { break };
            *opened = Some(open_in_place(secret, memory, envelope).map(|plaintext| plaintext.len()));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers {
            // Without another thread, this one does all of it.
            let thread = std::thread::Builder::new();
            if thread.spawn_scoped(scope, || work(&mut KeyMemory::default())).is_err() {
                break;
            }
        }
        work(memory);
    });
}

/// Curve multiplications that the envelopes of these steps need: neighbours under one ephemeral key need one together.
fn count_keys(arena: &[u8], steps: &[Step], memory: &KeyMemory) -> usize {
    let mut count = 0usize;
    let mut last: Option<&[u8; POINT_LEN]> = None;
    for step in steps {
        if let Step::Sealed { envelope, .. } = step {
            let key = arena.get(envelope.clone()).and_then(<[u8]>::first_chunk::<POINT_LEN>);
            let known = match last {
                Some(_) => key == last,
                None => key.is_some_and(|key| memory.knows(key)),
            };
            count = count.saturating_add(usize::from(!known));
            last = key;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::super::answer::AnswerOptions;
    use super::super::steps::Reader;
    use super::*;
    use crate::crypto::{SecureRandom, secp256k1_public_key};
    use crate::endpoint::TextField;
    use crate::seal::ecies::seal_field;
    use crate::stream::Field;

    struct Counter(u64);

    impl SecureRandom for Counter {
        fn fill(&mut self, out: &mut [u8]) -> Result<()> {
            self.0 = self.0.wrapping_add(1);
            out.fill(0);
            out[..8].copy_from_slice(&self.0.to_be_bytes());
            Ok(())
        }
    }

    /// Threads are used from eight curve multiplications on, not for fields under a key that is known already.
    #[test]
    fn when_threads_are_used() {
        for (fields, repeat, workers, ahead) in
            [(8, 1, 2, true), (7, 1, 2, false), (40, 1, 1, false), (40, 8, 3, false), (64, 8, 3, true)]
        {
            let mut opener = FieldOpener::new(Secret::take(&mut [0x33; 32]));
            let client = secp256k1_public_key(opener.parts().0).unwrap();
            let mut reader = Reader::new(AnswerOptions::default());
            let mut random = Counter(0);
            let mut sealed = String::new();
            for i in 0..fields {
                if i % repeat == 0 {
                    sealed.clear();
                    seal_field(&client, b"text", &mut random, &mut sealed).unwrap();
                }
                let value = Field::Text(sealed.as_str().into());
                reader.field(0, TextField::Content, "content", &value, None).unwrap();
            }
            open_ahead(&mut opener, &mut reader.arena, &mut reader.steps, workers);
            let opened = |step: &Step| matches!(step, Step::Sealed { opened: Some(Ok(4)), .. });
            assert_eq!(
                reader.steps.iter().filter(|step| opened(step)).count(),
                if ahead { fields } else { 0 }
            );
        }
    }
}
