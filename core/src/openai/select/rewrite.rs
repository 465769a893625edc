//! A body again, with some of its values replaced where they stand.

use std::ops::Range;

use super::Document;
use crate::error::{Code, Error, Result};
use crate::secret::wipe;
use crate::wire::json::write_string;

/// Bytes that making a value may take beyond its size, for a tag that is cut off again: a buffer that moved then would leave opened text
/// behind in its old place.
const SLACK: usize = 32;

impl Document<'_> {
    /// Appends the body to `out` with every value whose name is not in `plain` replaced, in place: all else stays as it is written.
    ///
    /// `replace` is called once for each such value, in the order of the counters, with the name and the raw text of the value, and
    /// appends what takes its place. `size` says how many bytes that will be for a raw text of so many; a wrong size is `internal`.
    /// The largest value is written to where it belongs; the others pass through a buffer.
    pub fn rewrite(
        &self,
        plain: &[&str],
        size: impl Fn(usize) -> usize,
        replace: impl FnMut(&str, &str, &mut Vec<u8>) -> Result<()>,
        out: &mut Vec<u8>,
    ) -> Result<Rewritten> {
        self.rewrite_members(self.selected(plain), size, replace, out)
    }

    /// The same for the members at these places, in this order.
    pub(super) fn rewrite_members(
        &self,
        order: Vec<usize>,
        size: impl Fn(usize) -> usize,
        mut replace: impl FnMut(&str, &str, &mut Vec<u8>) -> Result<()>,
        out: &mut Vec<u8>,
    ) -> Result<Rewritten> {
        let mut slots: Vec<Slot> = Vec::with_capacity(self.members.len());
        slots.resize_with(self.members.len(), Slot::default);
        let mut total = self.text.len();
        for place in &order {
            let bytes = size(self.len_at(*place));
            if let Some(slot) = slots.get_mut(*place) {
                slot.place = Place::Awaited(bytes);
            }
            total = total.saturating_add(bytes);
        }
        for member in self.members.iter().skip(self.written) {
            // A name with its quotes, a colon and a comma.
            let value = member.set.as_ref().map_or(0, |value| value.len());
            total = total.saturating_add(member.name.len()).saturating_add(value).saturating_add(4);
        }
        out.reserve(total.saturating_sub(self.replaced_bytes(&order)).saturating_add(SLACK));

        let mut work = Rewrite { document: self, out, slots, has_gaps: false, buffer: Buffer::default() };
        let largest =
            order.iter().enumerate().max_by_key(|(_, place)| self.len_at(**place)).map(|(at, _)| at);
        let early = order.iter().enumerate().filter(|(at, _)| Some(*at) != largest);
        let room = early.fold(0, |sum: usize, (_, place)| sum.saturating_add(size(self.len_at(*place))));
        if order.len() > 1 {
            work.buffer.0.reserve_exact(room.saturating_add(SLACK));
        }
        let (before, rest) = order.split_at_checked(largest.unwrap_or(0)).unwrap_or_default();
        for place in before {
            work.make_early(*place, &mut replace)?;
        }
        let mut next = 0;
        if let Some((largest, after)) = rest.split_first() {
            next = work.write_up_to(next, *largest)?;
            work.in_place(*largest, &mut replace)?;
            next = next.saturating_add(1);
            for place in after {
                work.make_early(*place, &mut replace)?;
            }
        }
        work.write_up_to(next, self.members.len())?;
        work.fill_gaps()?;
        work.write_end();
        Ok(Rewritten { replaced: order, slots: work.slots })
    }

    fn len_at(&self, place: usize) -> usize {
        self.members.get(place).map_or(0, |member| self.value(member).len())
    }

    /// Bytes of the text that do not appear in the result.
    fn replaced_bytes(&self, order: &[usize]) -> usize {
        order
            .iter()
            .filter_map(|place| self.members.get(*place))
            .fold(0, |sum, m| sum.saturating_add(m.span.len()))
    }
}

/// What [`Document::rewrite`] did.
#[derive(Debug)]
pub struct Rewritten {
    replaced: Vec<usize>,
    slots: Vec<Slot>,
}

impl Rewritten {
    /// How many values were replaced.
    pub fn replaced(&self) -> usize {
        self.replaced.len()
    }

    /// Where each replaced value now is in the output, with its place among the members, in the order of the counters.
    pub fn replaced_spans(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        self.replaced.iter().filter_map(|place| Some((*place, self.slots.get(*place)?.span.clone())))
    }

    /// Where each member's value now is in the output, in the order of the text.
    pub fn spans(&self) -> impl ExactSizeIterator<Item = Range<usize>> {
        self.slots.iter().map(|slot| slot.span.clone())
    }

    /// Whether each member's value was replaced, in the order of the text.
    pub fn replacements(&self) -> impl Iterator<Item = bool> {
        self.slots.iter().map(|slot| !matches!(slot.place, Place::AsWritten))
    }
}

/// A member on its way.
#[derive(Debug, Default)]
struct Slot {
    place: Place,
    /// Of its value in the output, from the start of the buffer.
    span: Range<usize>,
    /// Its space was left free.
    is_gap: bool,
}

/// Where the new value of a member is.
#[derive(Debug, Default)]
enum Place {
    /// It is not replaced.
    #[default]
    AsWritten,
    /// Not made yet; the bytes that it will have.
    Awaited(usize),
    /// In the buffer.
    Buffered(Range<usize>),
}

/// Values that were made before their turn. Wiped, because they can be opened ones.
#[derive(Default)]
struct Buffer(Vec<u8>);

impl Drop for Buffer {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

struct Rewrite<'w, 'a> {
    document: &'w Document<'a>,
    out: &'w mut Vec<u8>,
    slots: Vec<Slot>,
    has_gaps: bool,
    buffer: Buffer,
}

impl<'w> Rewrite<'w, '_> {
    fn member(&self, place: usize) -> Option<(&'w str, &'w str)> {
        let document = self.document;
        document.members.get(place).map(|member| (member.name.as_ref(), document.value(member)))
    }

    fn make_early(
        &mut self,
        place: usize,
        replace: &mut impl FnMut(&str, &str, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let Some((name, value)) = self.member(place) else { return Ok(()) };
        let Some(slot) = self.slots.get_mut(place) else { return Ok(()) };
        // All at once: growing would leave pieces behind that are not wiped.
        let wanted = if let Place::Awaited(bytes) = slot.place { bytes } else { 0 };
        grow(&mut self.buffer.0, wanted.saturating_add(SLACK));
        let start = self.buffer.0.len();
        replace(name, value, &mut self.buffer.0)?;
        slot.place = Place::Buffered(start..self.buffer.0.len());
        Ok(())
    }

    fn in_place(
        &mut self,
        place: usize,
        replace: &mut impl FnMut(&str, &str, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let Some((name, value)) = self.member(place) else { return Ok(()) };
        self.write_lead(place);
        let start = self.out.len();
        replace(name, value, self.out)?;
        self.note(place, start);
        Ok(())
    }

    /// Writes the members from `next` to the one before `end`, with what stands before each.
    fn write_up_to(&mut self, next: usize, end: usize) -> Result<usize> {
        for place in next..end {
            self.write_lead(place);
            let start = self.out.len();
            match self.slots.get_mut(place) {
                Some(Slot { place: Place::Buffered(range), .. }) => {
                    self.out.extend_from_slice(self.buffer.0.get(range.clone()).unwrap_or_default());
                }
                Some(Slot { place: Place::Awaited(bytes), is_gap, .. }) => {
                    *is_gap = true;
                    self.has_gaps = true;
                    self.out.resize(start.saturating_add(*bytes), 0);
                }
                _ => {
                    let value = self.member(place).map_or("", |(_, value)| value);
                    self.out.extend_from_slice(value.as_bytes());
                }
            }
            self.note(place, start);
        }
        Ok(end)
    }

    fn note(&mut self, place: usize, start: usize) {
        let end = self.out.len();
        if let Some(slot) = self.slots.get_mut(place) {
            slot.span = start..end;
        }
    }

    /// Writes what stands between the value before this one and this value.
    fn write_lead(&mut self, place: usize) {
        let document = self.document;
        let ends_at = |place: usize| document.members.get(place).map_or(0, |member| member.span.end);
        let start = place.checked_sub(1).map_or(0, ends_at);
        let Some(member) = document.members.get(place) else { return };
        let lead = document.text.get(start..member.span.start).unwrap_or_default();
        self.out.extend_from_slice(lead.as_bytes());
        if place >= document.written {
            let mut name = String::new();
            if place > 0 {
                name.push(',');
            }
            write_string(&member.name, &mut name);
            name.push(':');
            self.out.extend_from_slice(name.as_bytes());
        }
    }

    fn fill_gaps(&mut self) -> Result<()> {
        if !self.has_gaps {
            return Ok(());
        }
        for Slot { place, span, .. } in self.slots.iter().filter(|slot| slot.is_gap) {
            let Place::Buffered(range) = place else {
                return Err(Error::new(Code::Internal).at("order of members"));
            };
            let value = self.buffer.0.get(range.clone()).unwrap_or_default();
            match self.out.get_mut(span.clone()) {
                Some(gap) if gap.len() == value.len() => gap.copy_from_slice(value),
                _ => return Err(Error::new(Code::Internal).at("size of a replaced value")),
            }
        }
        Ok(())
    }

    fn write_end(&mut self) {
        let start = self.document.members.last().map_or(0, |member| member.span.end);
        self.out.extend_from_slice(self.document.text.get(start..).unwrap_or_default().as_bytes());
    }
}

/// Makes room for `more` bytes in a buffer whose old memory must not keep what was in it.
fn grow(buffer: &mut Vec<u8>, more: usize) {
    let wanted = buffer.len().saturating_add(more);
    if wanted > buffer.capacity() {
        let mut larger = Vec::with_capacity(wanted.max(buffer.capacity().saturating_mul(2)));
        larger.extend_from_slice(buffer);
        wipe(buffer);
        *buffer = larger;
    }
}
