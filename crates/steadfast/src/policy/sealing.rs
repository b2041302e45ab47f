//! What records, and sessions that travel in cookies, are sealed with.

use super::PolicyBuilder;
use super::faults::Fault;
use crate::seal::KeyRing;

/// What records and carried cookies are sealed with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sealing {
    pub(crate) ring: Option<KeyRing>,
    pub(crate) refuse_unsealed: bool,
}

/// # Sealing
impl PolicyBuilder {
    /// Seals every record at rest, whatever the driver: only nodes with a key can read or forge one.
    ///
    /// None by default. The first key seals and all of them open, so keys are replaced without signing anybody
    /// out. Records that are not sealed yet are read, and sealed with their next write, unless that is
    /// [refused](Self::refuse_unsealed). The cookie driver needs a ring.
    pub fn key_ring(mut self, ring: KeyRing) -> Self {
        self.policy.sealing.ring = Some(ring);
        self
    }

    /// Refuses records that are not sealed: set it once all have been since the key ring was introduced.
    ///
    /// # Security
    ///
    /// Without it, whoever can write to the store can put an unsealed record there, and sign in by it.
    pub fn refuse_unsealed(mut self) -> Self {
        self.policy.sealing.refuse_unsealed = true;
        self
    }

    /// Reads records that are not sealed. The default.
    pub fn accept_unsealed(mut self) -> Self {
        self.policy.sealing.refuse_unsealed = false;
        self
    }
}

impl Sealing {
    pub(super) fn check(&self, faults: &mut Vec<Fault>) {
        if self.refuse_unsealed && self.ring.is_none() {
            faults.push(Fault::new(
                "refuse_unsealed",
                true,
                "needs a `key_ring`: without one nothing is sealed",
            ));
        }
    }
}
