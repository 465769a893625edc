//! What happens to sealed answers on their way through a gateway that misbehaves: every defect of [`super::Stage::Answer`] and
//! [`super::Stage::Stream`].

use super::cipher::Message;
use super::defect::Defect;
use super::fields::{Document, Member};
use super::wire::{Frame, Outbound, data};
use crate::forge::Random;
use crate::sim::reply::Piece;

/// A document as it goes out, and as it was before sealing.
type Pair = (Document, Document);

/// More than any event may have.
const HUGE: usize = 17 * 1024 * 1024;

/// What the enclave itself says otherwise.
pub(super) fn before_sealing(out: &Outbound<'_>, document: &mut Document) {
    if out.has(Defect::OtherModel) {
        let model = document.members.iter_mut().find(|member| member.name == "model");
        model.into_iter().for_each(|member| member.value = "\"sim-another-model\"".to_owned());
        // The first event of a stream of the messages API has the model inside its message.
        let message = document.members.iter_mut().find(|member| member.name == "message");
        message.into_iter().for_each(|member| other_model(&mut member.value));
    }
    if out.has(Defect::SealedGarbage) {
        out.content_member(document).into_iter().for_each(|member| member.value = "not json".to_owned());
    }
}

/// Renames the model in the text of a message.
fn other_model(message: &mut String) {
    let name = "\"model\":\"";
    let start = message.find(name).map(|at| at.saturating_add(name.len()));
    let end = start.and_then(|start| Some(message.get(start..)?.find('"')?.saturating_add(start)));
    if let (Some(start), Some(end)) = (start, end) {
        message.replace_range(start..end, "sim-another-model");
    }
}

/// The document that defects of a single document happen to: one with several sealed members, as near to the middle as there is.
pub(super) fn target(documents: &mut [Pair]) -> usize {
    let middle = documents.len().div_euclid(2);
    let rich: Vec<usize> = documents
        .iter_mut()
        .enumerate()
        .filter_map(|(index, (document, _))| (document.sealed().len() > 1).then_some(index))
        .collect();
    rich.into_iter().min_by_key(|index| index.abs_diff(middle)).unwrap_or(middle)
}

/// Applies every defect of a document; `target` is the index of the document that most of them happen to.
pub(super) fn documents(out: &Outbound<'_>, all: &mut [Pair], target: usize, random: &mut Random) {
    if out.has(Defect::FieldReflected)
        && let Some((first, _)) = all.first_mut()
        && let Some(field) = first.sealed().into_iter().next()
        && let Some(request) = out.received.first()
    {
        field.value.clone_from(request);
    }
    if out.has(Defect::TrailingFieldDropped) {
        let last = all.iter_mut().rev().find_map(|(document, _)| {
            let name = document.sealed().last()?.name.clone();
            Some((document, name))
        });
        last.into_iter().for_each(|(document, name)| remove(document, &name));
    }
    if let Some((document, clear)) = all.get_mut(target) {
        members(out, document, clear);
        values(out, document, random);
        clear_members(out, document);
    }
}

fn remove(document: &mut Document, name: &str) {
    document.members.retain(|member| member.name != name);
}

/// Defects of which members there are and where.
fn members(out: &Outbound<'_>, document: &mut Document, clear: &mut Document) {
    if out.has(Defect::FieldDropped)
        && let Some(name) = document.sealed().first().map(|member| member.name.clone())
    {
        remove(document, &name);
    }
    if let [first, second, ..] = document.sealed().as_mut_slice() {
        if out.has(Defect::FieldsSwapped) {
            std::mem::swap(&mut first.value, &mut second.value);
        }
        if out.has(Defect::FieldReplayed) {
            second.value.clone_from(&first.value);
        }
    }
    if out.has(Defect::FieldRenamed) {
        out.content_member(document).into_iter().for_each(|member| member.name.push('_'));
    }
    if out.has(Defect::ClearContent)
        && let (Some(member), Some(before)) = (out.content_member(document), out.content_member(clear))
    {
        *member = before.clone();
    }
    if out.has(Defect::DuplicateMember)
        && let Some(copy) = out.content_member(document).cloned()
    {
        document.members.push(copy);
    }
}

/// Defects of one sealed value.
fn values(out: &Outbound<'_>, document: &mut Document, random: &mut Random) {
    let Some(field) = document.sealed().into_iter().next() else { return };
    let Ok(mut message) = Message::parse(&field.value) else { return };
    for defect in out.defects {
        match defect {
            Defect::ForeignNonce => message.nonce = random.bytes(),
            Defect::ForeignSecret => message.id = super::exchange::secret_id(b"another client's key"),
            Defect::FlippedTag => message.sealed.last_mut().into_iter().for_each(|byte| *byte ^= 1),
            Defect::ShortCiphertext => message.sealed.truncate(15),
            _ => (),
        }
    }
    let mut text = message.to_text();
    if out.has(Defect::ShortIv) {
        let iv = const_hex::encode(message.iv);
        text = text.replace(&iv, iv.get(..16).unwrap_or_default());
    }
    if out.has(Defect::ExtraPart) {
        text = format!("{}:00\"", text.trim_end_matches('"'));
    }
    field.value = text;
}

/// Members that travel in clear.
fn clear_members(out: &Outbound<'_>, document: &mut Document) {
    let mut set = |name: &str, value: &str| {
        remove(document, name);
        document.members.push(Member { name: name.to_owned(), value: value.to_owned(), sealed: false });
    };
    if out.has(Defect::ClearMember) {
        set("zz_notice", "\"Visit our website.\"");
    }
    if out.has(Defect::UsageText) {
        set("usage", "{\"prompt_tokens\":1,\"total_tokens\":2,\"note\":\"Visit our website.\"}");
    }
    if out.has(Defect::IdText) {
        set("id", "\"<script>alert(1)</script>\"");
    }
}

/// Events of its own that a gateway puts in: their name and data.
fn injected(defect: Defect, named: bool) -> Option<Frame> {
    let (name, text) = match (defect, named) {
        (Defect::ClearEvent, true) => (
            Some("content_block_delta"),
            "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"forged\"}}",
        ),
        (Defect::ClearEvent, false) => (
            None,
            "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"forged\"},\"finish_reason\":null}]}",
        ),
        (Defect::ErrorEvent, true) => (
            Some("error"),
            "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
        ),
        (Defect::ErrorEvent, false) => {
            (None, "{\"error\":{\"message\":\"The upstream returned an error\",\"type\":\"server_error\"}}")
        }
        (Defect::MalformedEvent, _) => (None, "{\"id\":"),
        (Defect::HugeEvent, _) => {
            let data = format!("{{\"id\":\"{}\"}}", "a".repeat(HUGE));
            return Some(Frame { name: None, data, ends_choice: false });
        }
        _ => return None,
    };
    Some(Frame { name, data: text.to_owned(), ends_choice: false })
}

/// Everything that happens to whole events, and the writes of what is left.
pub(super) fn to_pieces(out: &Outbound<'_>, mut frames: Vec<Frame>) -> Vec<Piece> {
    let named = frames.iter().any(|frame| frame.name.is_some());
    let middle = frames.len().div_euclid(2);
    if out.has(Defect::FinishMissing) {
        // What follows the end of the last choice is kept only where it marks the end of the whole.
        let end = frames.iter().position(|frame| frame.ends_choice).unwrap_or(frames.len());
        let tail = frames.split_off(end);
        frames.extend(tail.into_iter().filter(|frame| frame.name == Some("message_stop")));
    }
    if out.has(Defect::EventReplayed)
        && let Some(frame) = frames.get(middle).cloned()
    {
        frames.insert(middle, frame);
    }
    if out.has(Defect::EventDropped) && middle < frames.len() {
        frames.remove(middle);
    }
    if out.has(Defect::EventsSwapped)
        && let [_, rest @ ..] = frames.as_mut_slice()
        && let Some([first, second, ..]) = rest.get_mut(middle.saturating_sub(1)..)
    {
        std::mem::swap(first, second);
    }
    for frame in out.defects.iter().filter_map(|defect| injected(*defect, named)) {
        frames.insert(middle.min(frames.len()), frame);
    }
    cut(out, frames, named)
}

/// The end mark, cuts, and the form of lines.
fn cut(out: &Outbound<'_>, mut frames: Vec<Frame>, named: bool) -> Vec<Piece> {
    let eol = if out.has(Defect::SseCrlf) { "\r\n" } else { "\n" };
    if named && out.has(Defect::NoDone) {
        frames.pop();
    }
    let mut parts: Vec<Vec<u8>> =
        frames.iter().enumerate().map(|(i, frame)| line(out, frame, i, eol).into_bytes()).collect();
    if !named && !out.has(Defect::NoDone) {
        let done = if out.has(Defect::LowercaseDone) { "[done]" } else { "[DONE]" };
        parts.push(format!("data: {done}{eol}{eol}").into_bytes());
    }
    let count = parts.len();
    let half = count.div_euclid(2);
    let keep = [
        (Defect::StreamEmpty, 0),
        (Defect::StreamCut, half),
        (Defect::CutMidEvent, half),
        (Defect::ConnectionDrop, half),
        (Defect::StreamCutLate, count.saturating_sub(2)),
    ];
    keep.iter().filter(|(defect, _)| out.has(*defect)).for_each(|(_, keep)| parts.truncate(*keep));
    if out.has(Defect::CutMidEvent)
        && let Some(last) = parts.last_mut()
    {
        last.truncate(last.len().div_euclid(2));
    }
    if out.has(Defect::DataAfterDone) {
        let late = injected(Defect::ClearEvent, named).map(|frame| line(out, &frame, count, eol));
        parts.extend(late.map(String::into_bytes));
    }
    let mut pieces = Vec::new();
    if out.has(Defect::SlowStart) {
        pieces.push(Piece::Pause(out.slow_start_ms));
    }
    for part in parts {
        if out.pace_ms > 0 {
            pieces.push(Piece::Pause(out.pace_ms));
        }
        if out.has(Defect::ByteSplitWrites) {
            pieces.extend(part.into_iter().map(|byte| data(vec![byte])));
        } else {
            pieces.push(data(part));
        }
    }
    if out.has(Defect::ConnectionDrop) {
        pieces.push(Piece::Drop);
    }
    pieces
}

fn line(out: &Outbound<'_>, frame: &Frame, index: usize, eol: &str) -> String {
    let name = frame.name.map(|name| format!("event: {name}{eol}")).unwrap_or_default();
    if out.has(Defect::SseComments) {
        format!(
            ": keep-alive {index}{eol}{eol}{name}id: {index}{eol}retry: 3000{eol}data:{}{eol}{eol}",
            frame.data
        )
    } else {
        format!("{name}data: {}{eol}{eol}", frame.data)
    }
}
