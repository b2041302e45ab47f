//! The protocol's rules, one switch each, so that tests and the model checker can show what each is for.

/// The rules of the protocol that keep a session. All of them hold, unless the feature
/// `dangerous-protocol` is on and a builder was told otherwise: for tests, and for showing what goes
/// wrong without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(
    not(feature = "dangerous-protocol"),
    expect(unreachable_pub, reason = "public with the feature `dangerous-protocol`")
)]
pub struct Rules {
    /// The direct predecessor of a secret is good until its window ends.
    pub forward_in_window: bool,
    /// The direct predecessor of a secret is good until somebody has come with the secret.
    pub forward_until_delivered: bool,
    /// No secret is replaced in time while its predecessor is good.
    pub one_successor_at_a_time: bool,
    /// A cookie that was minted or forwarded in a window is dropped if the head leaves after it.
    pub drop_late_cookies: bool,
    /// The second half of a window is kept for cookies and requests on their way: a secret is sent in the
    /// first half only.
    pub send_in_first_half: bool,
    /// A change of privilege starts a new record with a new key.
    pub new_record_for_privilege: bool,
    /// What a change of privilege leaves behind is read-only.
    pub frozen_is_read_only: bool,
    /// A repeated sign-in leaves the session of the first one alone: its response may be the one that arrives.
    pub spare_undelivered: bool,
    /// A cookie that opens nothing is left alone until a write replaces it.
    pub leave_dead_cookies: bool,
    /// A record is written only over the version that was read.
    pub conditional_writes: bool,
    /// A sign-out ends the session only as it was seen, so that none slips away to a new key.
    pub conditional_end: bool,
    /// A write to a record that is gone creates nothing.
    pub missing_stays_missing: bool,
}

#[cfg_attr(
    not(feature = "dangerous-protocol"),
    expect(unreachable_pub, reason = "public with the feature `dangerous-protocol`")
)]
impl Rules {
    /// All rules hold.
    pub const ALL: Self = Self {
        forward_in_window: true,
        forward_until_delivered: true,
        one_successor_at_a_time: true,
        drop_late_cookies: true,
        send_in_first_half: true,
        new_record_for_privilege: true,
        frozen_is_read_only: true,
        spare_undelivered: true,
        leave_dead_cookies: true,
        conditional_writes: true,
        conditional_end: true,
        missing_stays_missing: true,
    };
}

impl Default for Rules {
    fn default() -> Self {
        Self::ALL
    }
}
