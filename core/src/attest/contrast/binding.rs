//! What a coordinator binds into the report data (`protocols/privatemode.md` 3.2). Everything is hashed as the exact bytes received.

use crate::crypto::sha256;

/// Digest of a history of manifests, oldest first: each step hashes the manifest's digest and the digest before.
pub fn transition_digest<M: AsRef<[u8]>>(manifests: &[M]) -> [u8; 32] {
    manifests.iter().fold([0; 32], |before, manifest| sha256(&[&sha256(&[manifest.as_ref()]), &before]))
}

/// The expected report data: challenge, history, root and mesh authority (PEM texts); a fifth part, the body of the coordinator's answer
/// to `GET /capabilities`, if and only if the caller has it. Which of the two forms holds is never guessed.
pub fn report_data<M: AsRef<[u8]>>(
    nonce: &[u8; 32],
    manifests: &[M],
    root_ca: &[u8],
    mesh_ca: &[u8],
    capabilities: Option<&[u8]>,
) -> [u8; 64] {
    let (transition, root, mesh) = (transition_digest(manifests), sha256(&[root_ca]), sha256(&[mesh_ca]));
    let capabilities = capabilities.map(|body| sha256(&[body]));
    let mut parts: Vec<&[u8]> = vec![nonce, &transition, &root, &mesh];
    parts.extend(capabilities.as_ref().map(<[u8; 32]>::as_slice));
    let mut out = [0; 64];
    out.iter_mut().zip(sha256(&parts)).for_each(|(to, from)| *to = from);
    out
}
