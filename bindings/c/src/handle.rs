//! The table behind every opaque pointer of the C interface (style.md B8 rule 4, threats T61).
//!
//! A handle is a number in the shape of a pointer and is never dereferenced:
//!
//! | bits on 64-bit systems | bits on 32-bit systems | field |
//! |---|---|---|
//! | 56-63 | 27-31 | type, never 0, so that no address of a program's memory (top byte 0) is a handle |
//! | 24-55 | 14-26 | generation of the slot, counted up at each free |
//! | 0-23 | 0-13 | slot |
//!
//! The lock is held only to find, add or remove an entry. A function works on a counted reference of its own, so freeing a handle
//! during use cannot pull the object away. A slot whose generations are used up is never used again.

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proveil_bindings_support::core::{Code, Error, Result};

use crate::types::{
    pv_buf_owner, pv_cancel, pv_client, pv_endpoint, pv_error, pv_events, pv_evidence_bundle, pv_exchange,
    pv_http_request, pv_opener, pv_policy, pv_receipt, pv_report, pv_sealed, pv_stream, pv_trust_roots,
};
use crate::{
    buffer, bundle, cancel, client, endpoint, error, exchange, fork, http, opener, policy, report, stream,
};

const TAG_BITS: u32 = if usize::BITS >= 64 { 8 } else { 5 };
const SLOT_BITS: u32 = if usize::BITS >= 64 { 24 } else { 14 };
const TAG_SHIFT: u32 = usize::BITS.saturating_sub(TAG_BITS);
const SLOT_MAX: usize = (1_usize << SLOT_BITS).wrapping_sub(1);
const GENERATION_MAX: usize = (1_usize << TAG_SHIFT.saturating_sub(SLOT_BITS)).wrapping_sub(1);

/// A type of the header and the object that stands behind it.
pub trait Handle: Sized {
    /// What the table keeps.
    type Object: Any + Send + Sync;
    /// Type number in the handle, from 1 on.
    const TAG: u8;

    /// Called when the handle is freed, with the lock released and while other threads may still work on the object.
    fn freed(_object: &Self::Object) {}
}

macro_rules! handles {
    ($( $tag:literal $handle:ident $object:ty ; )+) => {
        $( impl Handle for $handle {
            type Object = $object;
            const TAG: u8 = $tag;
        } )+
    };
}

handles! {
    1 pv_error error::ErrorObject;
    2 pv_policy policy::PolicyObject;
    3 pv_trust_roots policy::RootsObject;
    4 pv_report report::ReportObject;
    5 pv_http_request http::RequestObject;
    6 pv_exchange exchange::ExchangeObject;
    7 pv_endpoint endpoint::EndpointObject;
    8 pv_sealed endpoint::SealedObject;
    9 pv_opener opener::OpenerObject;
    10 pv_events opener::EventsObject;
    11 pv_receipt endpoint::ReceiptObject;
    12 pv_client client::ClientObject;
    13 pv_cancel cancel::CancelObject;
    14 pv_buf_owner buffer::BufferObject;
    16 pv_evidence_bundle bundle::BundleObject;
}

impl Handle for pv_stream {
    type Object = stream::StreamObject;
    const TAG: u8 = 15;

    fn freed(object: &stream::StreamObject) {
        object.abandon();
    }
}

type Shared = Arc<dyn Any + Send + Sync>;

#[derive(Default)]
struct Slot {
    generation: usize,
    entry: Option<(u8, Shared)>,
}

/// The entries. Public in the crate only for the fork handlers, which hold its lock across a fork.
pub struct Table {
    slots: Vec<Slot>,
    vacant: Vec<usize>,
    live: usize,
}

static TABLE: Mutex<Table> = Mutex::new(Table { slots: Vec::new(), vacant: Vec::new(), live: 0 });

/// Takes the table's lock. Nothing under it can panic half way, so a poisoned lock is still consistent.
pub fn lock() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Number of handles that were given out and not freed yet.
pub fn live() -> usize {
    lock().live
}

/// Enters an object and gives its handle. Fails with `limit_exceeded` when the table is full.
pub fn insert<H: Handle>(object: H::Object) -> Result<*mut H> {
    insert_shared(Arc::new(object))
}

/// Enters an object that other handles or objects hold too.
pub fn insert_shared<H: Handle>(object: Arc<H::Object>) -> Result<*mut H> {
    fork::prepare_once();
    let value = lock().insert(H::TAG, object)?;
    Ok(std::ptr::without_provenance_mut(value))
}

/// A counted reference to the object of a handle. NULL is `null_pointer`; a number that is no live handle is `invalid_handle`;
/// a live handle of another type is `wrong_handle_type`.
pub fn find<H: Handle>(handle: *const H) -> Result<Arc<H::Object>> {
    let entry = lock().find(handle.addr(), H::TAG)?;
    entry.downcast().map_err(|_| Error::new(Code::Internal).at("handle"))
}

/// Like [`find`], with NULL for "none".
pub fn find_optional<H: Handle>(handle: *const H) -> Result<Option<Arc<H::Object>>> {
    if handle.is_null() { Ok(None) } else { find(handle).map(Some) }
}

/// Removes a handle; NULL is nothing to do. The object goes when the last thread that works on it is done.
pub fn free<H: Handle>(handle: *mut H) -> Result<()> {
    if handle.is_null() {
        return Ok(());
    }
    // The guard of the lock is gone at the end of this statement: dropping an object can take long.
    let entry = lock().remove(handle.addr(), H::TAG)?;
    if let Ok(object) = entry.downcast::<H::Object>() {
        H::freed(&object);
    }
    Ok(())
}

impl Table {
    fn insert(&mut self, tag: u8, object: Shared) -> Result<usize> {
        let index = match self.vacant.pop() {
            Some(index) => index,
            None if self.slots.len() <= SLOT_MAX => {
                self.slots.push(Slot { generation: 1, entry: None });
                self.slots.len().wrapping_sub(1)
            }
            None => return Err(Error::new(Code::LimitExceeded).at("handles")),
        };
        let slot = self.slots.get_mut(index).ok_or_else(|| Error::new(Code::Internal).at("handle"))?;
        slot.entry = Some((tag, object));
        self.live = self.live.saturating_add(1);
        Ok(usize::from(tag) << TAG_SHIFT | slot.generation << SLOT_BITS | index)
    }

    /// The slot index of a live handle of the wanted type.
    fn locate(&self, value: usize, tag: u8) -> Result<(usize, &Shared)> {
        if value == 0 {
            return Err(Error::new(Code::NullPointer));
        }
        let index = value & SLOT_MAX;
        let slot = self.slots.get(index).ok_or(Code::InvalidHandle)?;
        let (have, object) = slot.entry.as_ref().ok_or(Code::InvalidHandle)?;
        if value != usize::from(*have) << TAG_SHIFT | slot.generation << SLOT_BITS | index {
            return Err(Error::new(Code::InvalidHandle));
        }
        if *have != tag {
            return Err(Error::new(Code::WrongHandleType));
        }
        Ok((index, object))
    }

    fn find(&self, value: usize, tag: u8) -> Result<Shared> {
        self.locate(value, tag).map(|(_, object)| Arc::clone(object))
    }

    fn remove(&mut self, value: usize, tag: u8) -> Result<Shared> {
        let (index, _) = self.locate(value, tag)?;
        let slot = self.slots.get_mut(index).ok_or(Code::InvalidHandle)?;
        let (_, object) = slot.entry.take().ok_or(Code::InvalidHandle)?;
        self.live = self.live.saturating_sub(1);
        if slot.generation < GENERATION_MAX {
            slot.generation = slot.generation.saturating_add(1);
            self.vacant.push(index);
        }
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table { slots: Vec::new(), vacant: Vec::new(), live: 0 }
    }

    fn code(result: Result<Shared>) -> Code {
        result.unwrap_err().code()
    }

    #[test]
    fn a_handle_is_good_until_it_is_freed_and_never_again() {
        let mut table = table();
        let first = table.insert(2, Arc::new(1_u8)).unwrap();
        assert!(table.find(first, 2).is_ok());
        assert_eq!(code(table.find(first, 3)), Code::WrongHandleType);
        assert_eq!(code(table.remove(first, 3)), Code::WrongHandleType);
        assert!(table.remove(first, 2).is_ok());
        assert_eq!(code(table.remove(first, 2)), Code::InvalidHandle);
        let second = table.insert(2, Arc::new(2_u8)).unwrap();
        assert_ne!(first, second, "the slot is used again under another generation");
        assert_eq!(code(table.find(first, 2)), Code::InvalidHandle);
        assert_eq!(table.live, 1);
    }

    #[test]
    fn forged_numbers_are_refused() {
        let mut table = table();
        let handle = table.insert(2, Arc::new(1_u8)).unwrap();
        for bit in 0..usize::BITS {
            assert_eq!(code(table.find(handle ^ (1 << bit), 2)), Code::InvalidHandle, "bit {bit}");
        }
        assert_eq!(code(table.find(0, 2)), Code::NullPointer);
        for value in [1, 0x1000, usize::MAX, &raw const handle as usize] {
            assert_eq!(code(table.find(value, 2)), Code::InvalidHandle, "{value:x}");
        }
    }

    #[test]
    fn a_slot_without_generations_left_is_retired() {
        let mut table = table();
        let first = table.insert(2, Arc::new(1_u8)).unwrap();
        table.remove(first, 2).unwrap();
        table.slots[0].generation = GENERATION_MAX;
        let last = table.insert(2, Arc::new(1_u8)).unwrap();
        assert_eq!(last & SLOT_MAX, 0);
        table.remove(last, 2).unwrap();
        let next = table.insert(2, Arc::new(1_u8)).unwrap();
        assert_eq!(next & SLOT_MAX, 1);
        assert_eq!(code(table.find(last, 2)), Code::InvalidHandle);
    }
}
