//! Appraisal of evidence that stands for itself: bare hardware without a provider around it, and the parts that provider appraisals
//! share with it.

pub(crate) mod gpu;
mod nvidia;

pub use nvidia::{NvidiaInput, appraise_nvidia};
