//! What AMD's key distribution service answered about Privatemode's coordinators at hand: in memory, and on disk when the host gave a directory.
//!
//! A chip's certificate for one patch level never changes: it is kept for good. A revocation list is asked for again after a day, and not used
//! after its own end. All of it is signed; only what a verified endpoint was judged by is kept, and the core verifies it again on every use and
//! asks for new when it does not fit, so the worst that a bad entry can do is to cost a request (threats T24).

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proveil_core::attest::TrustRoots;
use proveil_core::attest::snp::{SigningKey, VerifiedVek};
use proveil_core::crypto;
use proveil_core::evidence::SnpEndorsements;
use proveil_core::pki::RevocationList;
use proveil_core::wire::json::Json;
use proveil_core::wire::{base64, hex};

use crate::collateral::folder;
use crate::disk::DiskCache;
use crate::kds::LIST_MAX_AGE_S;
use crate::notice::{Notice, Observer};

/// Documents that are kept: a certificate for each chip of a deployment's coordinators, a list for each product line.
const HELD_MAX: usize = 32;
/// All documents on disk together.
const TOTAL_MAX_BYTES: u64 = 8 * 1024 * 1024;
const PREFIX: &str = "amd-";
const SUFFIX: &str = ".json";
const SCHEMA: &str = "proveil.amd/v1";

pub(crate) struct AmdShelf {
    disk: Option<DiskCache>,
    roots: TrustRoots,
    observer: Observer,
    /// `None` before the directory was read. Newest first.
    held: Mutex<Option<Vec<Document>>>,
}

/// One certificate or revocation list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Document {
    /// What it is about, as far as its file's name says: newer of the same name takes its place.
    name: String,
    kind: Kind,
    fetched_at: u64,
    der: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Vcek,
    List,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Kind::Vcek => "vcek",
            Kind::List => "crl",
        }
    }
}

impl Document {
    /// False for a list that is to be asked for again, and for what the future brought.
    fn is_usable(&self, at: u64) -> bool {
        let age = at.checked_sub(self.fetched_at);
        age.is_some_and(|age| self.kind == Kind::Vcek || age < LIST_MAX_AGE_S)
    }

    fn endorsements(self) -> SnpEndorsements {
        match self.kind {
            Kind::Vcek => SnpEndorsements { vcek: Some(self.der), ..SnpEndorsements::new() },
            Kind::List => SnpEndorsements { crl: Some(self.der), ..SnpEndorsements::new() },
        }
    }

    fn render(&self) -> String {
        let text = |text: &str| Json::String(text.to_owned());
        Json::Object(vec![
            ("schema".to_owned(), text(SCHEMA)),
            ("kind".to_owned(), text(self.kind.word())),
            ("fetched_at".to_owned(), Json::Number(self.fetched_at.into())),
            ("der".to_owned(), Json::String(base64::encode(&self.der))),
        ])
        .to_compact()
    }

    fn parse(name: &str, bytes: &[u8]) -> Option<Document> {
        let file = Json::parse(bytes).ok()?;
        let text = |name| file.get(name).and_then(Json::as_str);
        let kind = [Kind::Vcek, Kind::List].into_iter().find(|kind| text("kind") == Some(kind.word()))?;
        let fetched_at = file.get("fetched_at").and_then(Json::as_u64)?;
        let der = text("der").and_then(base64::decode)?;
        let name = name.to_owned();
        (text("schema") == Some(SCHEMA)).then_some(Document { name, kind, fetched_at, der })
    }
}

impl AmdShelf {
    pub(crate) fn new(dir: Option<PathBuf>, roots: TrustRoots, observer: Observer) -> AmdShelf {
        let disk = dir.map(|dir| DiskCache::new(folder(dir, &roots)));
        AmdShelf { disk, roots, observer, held: Mutex::new(None) }
    }

    /// Everything at hand that need not be asked for again at `at` (Unix seconds). Reads the directory on first use.
    pub(crate) async fn take_stock(self: &Arc<Self>, at: u64) -> Vec<SnpEndorsements> {
        let held = self.lock().clone();
        let held = match held {
            Some(held) => held,
            None => {
                let shelf = self.clone();
                let read = tokio::task::spawn_blocking(move || shelf.read(at)).await.unwrap_or_default();
                self.lock().get_or_insert(read).clone()
            }
        };
        held.into_iter().filter(|document| document.is_usable(at)).map(Document::endorsements).collect()
    }

    /// Keeps what was fetched for an endpoint that verified.
    pub(crate) async fn add(self: &Arc<Self>, fetched: &SnpEndorsements, at: u64) {
        let vcek = fetched.vcek.as_deref().map(|der| (Kind::Vcek, der));
        let list = fetched.crl.as_deref().map(|der| (Kind::List, der));
        let documents: Vec<Document> = [vcek, list]
            .into_iter()
            .flatten()
            .filter_map(|(kind, der)| {
                let name = self.name(kind, der, at)?;
                Some(Document { name, kind, fetched_at: at, der: der.to_vec() })
            })
            .collect();
        if documents.is_empty() {
            return;
        }
        {
            let mut slot = self.lock();
            let held = slot.get_or_insert_default();
            held.retain(|old| documents.iter().all(|new| new.name != old.name));
            held.splice(0..0, documents.iter().cloned());
            held.truncate(HELD_MAX);
        }
        let shelf = self.clone();
        // A task that panicked has lost a cache entry, nothing else.
        let _ = tokio::task::spawn_blocking(move || shelf.write(&documents)).await;
    }

    /// The name of a document's file; `None` for one that does not lead to a trusted root.
    fn name(&self, kind: Kind, der: &[u8], at: u64) -> Option<String> {
        let about = match kind {
            Kind::Vcek => {
                let alone = SnpEndorsements { vcek: Some(der.to_vec()), ..SnpEndorsements::new() };
                let vek = VerifiedVek::verify(&alone, SigningKey::Vcek, &self.roots, at).ok()?;
                vek.kds_requests().vcek?
            }
            Kind::List => {
                let mut roots = self.roots.amd().roots().iter();
                let root = roots.find(|root| RevocationList::verify(der, root.ark()).is_ok())?;
                root.product().name().to_owned()
            }
        };
        let digest = crypto::sha256(&[about.as_bytes()]);
        Some(format!("{PREFIX}{}-{}{SUFFIX}", kind.word(), hex::encode(digest.get(..16).unwrap_or_default())))
    }

    /// What the directory holds, as far as it verifies under the names that it has.
    fn read(&self, at: u64) -> Vec<Document> {
        let Some(disk) = &self.disk else { return Vec::new() };
        let (entries, warnings) = disk.load(PREFIX, SUFFIX);
        warnings.into_iter().for_each(|warning| self.warn(warning));
        let parsed = entries.into_iter().filter_map(|entry| {
            let document = Document::parse(&entry.name, &entry.bytes)
                .filter(|document| self.name(document.kind, &document.der, at).as_ref() == Some(&entry.name));
            if document.is_none() {
                self.warn(format!("cache entry {} was ignored: it is not what its name says", entry.name));
            }
            document
        });
        let mut held: Vec<Document> = parsed.collect();
        held.sort_by_key(|document| std::cmp::Reverse(document.fetched_at));
        held
    }

    fn write(&self, documents: &[Document]) {
        let Some(disk) = &self.disk else { return };
        for document in documents {
            if let Err(warning) = disk.save(&document.name, document.render().as_bytes()) {
                self.warn(warning);
            }
        }
        disk.trim(PREFIX, SUFFIX, HELD_MAX, TOTAL_MAX_BYTES);
    }

    fn warn(&self, text: String) {
        (self.observer)(&Notice::Warning(text));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Document>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_come_back_whole_or_not_at_all() {
        let document =
            Document { name: "amd-crl-1.json".to_owned(), kind: Kind::List, fetched_at: 17, der: vec![1, 2] };
        let text = document.render();
        assert_eq!(Document::parse("amd-crl-1.json", text.as_bytes()), Some(document));
        for text in [
            String::new(),
            text.replace("/v1", "/v2"),
            text.replace("crl", "ark"),
            text.replace("17", "-17"),
            text.replace("\"der\":\"", "\"der\":\"?"),
        ] {
            assert_eq!(Document::parse("amd-crl-1.json", text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn lists_age_and_certificates_do_not() {
        let document = |kind| Document { name: String::new(), kind, fetched_at: 1_000, der: Vec::new() };
        for (at, vcek, list) in [
            (999, false, false),
            (1_000, true, true),
            (1_000 + LIST_MAX_AGE_S - 1, true, true),
            (1_000 + LIST_MAX_AGE_S, true, false),
        ] {
            assert_eq!(
                (document(Kind::Vcek).is_usable(at), document(Kind::List).is_usable(at)),
                (vcek, list),
                "{at}"
            );
        }
    }
}
