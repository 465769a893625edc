//! GPU evidence of a node (venice.md 2.6, attestation.md 3): genuine devices that answered our challenge, each once. That they run in
//! confidential mode, or are attached to this enclave, is not shown by it and is listed as not checked.

use super::{NodeFindings, NodeInput};
use crate::attest::nvidia;
use crate::error::{Code, Error};
use crate::policy::{Appraisal, GpuRule};
use crate::report::Check;
