//! What runs inside: event log, application description, compose manager, OHTTP configuration, reference values.

use super::{CollateralPool, NodeFindings, NodeInput, list_steps_prefixed, optional_text};
use crate::attest::dstack;
use crate::claims::{DstackClaims, TdxClaims, Verified};
use crate::crypto;
use crate::error::{Code, Error, Result};
use crate::policy::Appraisal;
use crate::report::Check;
use crate::wire::hex;
use crate::wire::json::Json;
