//! The scripts: each call of the contract as one atomic step in the server.
//!
//! A script is sent by its digest. A server that doesn't know it gets the text, once; nothing is loaded in
//! advance, so a restart or a failover that forgets scripts costs one round trip.
//!
//! All begin with the key of the record in `KEYS[1]`. Places in a record are those of `layout`, counted from
//! one. Answers are numbers (`answer`), or the bytes of a record, behind eight bytes of the server's time
//! where that was asked for. Whatever may be refused for want of memory comes first, so that nothing is half
//! done.

use std::sync::LazyLock;

/// What the scripts answer with when it is not a record.
pub(in crate::store) mod answer {
    pub(in crate::store) const MISSING: i64 = 0;
    pub(in crate::store) const DONE: i64 = 1;
    pub(in crate::store) const STALE: i64 = 2;
    pub(in crate::store) const TAKEN: i64 = 3;
    pub(in crate::store) const BUSY: i64 = 4;
    pub(in crate::store) const LOST: i64 = 5;
    /// The index of the user, which is on another server, has to list the record first.
    pub(in super::super) const UNLISTED: i64 = 6;
}

/// A script: its text, and the digest that the server knows it by.
pub(in crate::store) struct Script {
    pub(super) text: &'static str,
    digest: LazyLock<String>,
}

impl Script {
    pub(in crate::store) const fn new(text: &'static str, digest: fn() -> String) -> Self {
        Self { text, digest: LazyLock::new(digest) }
    }

    pub(in crate::store) fn digest(&self) -> &str {
        &self.digest
    }
}

macro_rules! script {
    ($(#[$doc:meta])* $name:ident = $($part:expr),+) => {
        $(#[$doc])*
        pub(super) static $name: $crate::store::redis::scripts::Script = {
            const TEXT: &str = concat!($($part),+);
            $crate::store::redis::scripts::Script::new(TEXT, || {
                ::redis::Script::new(TEXT).get_hash().to_owned()
            })
        };
    };
}
#[cfg(feature = "php")]
pub(in crate::store) use script;

/// `head(key)` returns the head of a record, or nothing and the answer to give: missing, or below zero for
/// what is not a record of this format.
macro_rules! head {
    () => {
        "local function head(key)
  local h = redis.call('GETRANGE', key, 0, 50)
  if h == '' then return nil, 0 end
  if #h < 35 or string.byte(h) ~= 1 then return nil, -1 - string.byte(h) end
  return h
end
"
    };
}

/// `FREE` is the token of a lease that nobody holds.
macro_rules! free {
    () => {
        "local FREE = '\\0\\0\\0\\0\\0\\0\\0\\0'\n"
    };
}

/// `now()` returns the microseconds since the Unix epoch. They fit a Lua number until the year 2255.
macro_rules! now {
    () => {
        "local function now()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
"
    };
}

/// `wake(key, h)` tells the nodes that wait for the lease, if there are any, that it has ended.
macro_rules! wake {
    () => {
        "local function wake(key, h)
  if string.byte(h, 2) == 0 then return end
  for _, channel in ipairs(redis.call('SMEMBERS', key .. ':waiters')) do
    redis.call('PUBLISH', channel, string.sub(key, -33, -2))
  end
  redis.call('DEL', key .. ':waiters')
end
"
    };
}

/// `user(v)` returns the user of a record, or an empty string. `list(key, before, after)` lets the index
/// follow, where it is on the same server: `ARGV[1]` is what its keys begin with, or shorter than two bytes.
macro_rules! index {
    () => {
        "local function user(v)
  if string.byte(v, 35) == 1 then return string.sub(v, 36, 51) end
  return ''
end
local function list(key, before, after)
  if before == after or #ARGV[1] < 2 then return end
  local function of(u)
    return ARGV[1] .. string.gsub(u, '.', function(c) return string.format('%02x', string.byte(c)) end)
  end
  local member = string.sub(key, -33, -2)
  if after ~= '' then redis.call('ZADD', of(after), 0, member) end
  if before ~= '' then redis.call('ZREM', of(before), member) end
end
"
    };
}

script! {
    /// No arguments. Answers the record behind the time, or MISSING.
    LOAD = now!(), "local v = redis.call('GET', KEYS[1])
if not v then return 0 end
return struct.pack('>I8', now()) .. v"
}

script! {
    /// `ARGV`: token, microseconds, the present time or nothing. Answers BUSY, MISSING or the record,
    /// behind the time if that was not given.
    ACQUIRE = free!(), now!(), "local v = redis.call('GET', KEYS[1])
if not v then return 0 end
local t = tonumber(ARGV[3]) or now()
if #v >= 35 and string.byte(v) == 1 then
  local token = string.sub(v, 3, 10)
  if token ~= FREE and token ~= ARGV[1] and t < struct.unpack('>I8', v, 11) then return 4 end
  redis.call('SETRANGE', KEYS[1], 2, ARGV[1] .. struct.pack('>I8', t + ARGV[2]))
end
if ARGV[3] then return v end
return struct.pack('>I8', t) .. v"
}

script! {
    /// `ARGV`: index, record, deadline. For a record that is listed on the same server.
    CREATE = index!(), "if not redis.call('SET', KEYS[1], ARGV[2], 'NX', 'PXAT', ARGV[3]) then return 3 end
list(KEYS[1], '', user(ARGV[2]))
return 1"
}

script! {
    /// `ARGV`: index, version seen, record, deadline, token, microseconds.
    ///
    /// The token is empty if the lease stays as it is, and `*` if it ends whoever holds it. The microseconds
    /// are empty if it ends. A write that arrives a second time is answered as the first.
    UPDATE = head!(), free!(), now!(), wake!(), index!(), "local h, no = head(KEYS[1])
if not h then return no end
local version = string.sub(h, 19, 26)
if version ~= ARGV[2] then
  if version == string.sub(ARGV[3], 19, 26) then return 1 end
  return 2
end
local before, after = user(h), user(ARGV[3])
if before ~= after and after ~= '' and ARGV[1] == '' then return 6 end
local v, held, ends = ARGV[3], string.sub(h, 3, 10), true
if held ~= FREE and ARGV[5] ~= '*' then
  local t = ARGV[6] ~= '' and now()
  if held ~= ARGV[5] then
    ends = false
    v = string.sub(v, 1, 1) .. string.sub(h, 2, 18) .. string.sub(v, 19)
  elseif t and t < struct.unpack('>I8', h, 11) then
    ends = false
    v = string.sub(v, 1, 1) .. string.sub(h, 2, 10) .. struct.pack('>I8', t + ARGV[6]) .. string.sub(v, 19)
  end
end
redis.call('SET', KEYS[1], v, 'PXAT', ARGV[4])
list(KEYS[1], before, after)
if ends then wake(KEYS[1], h) end
return 1"
}

script! {
    /// `KEYS`: old, new. `ARGV`: index, version seen, new record, its deadline, what the old one becomes or
    /// nothing, its deadline.
    REPLACE = head!(), wake!(), index!(), "local taken = redis.call('GETRANGE', KEYS[2], 18, 25)
if taken ~= '' then
  if taken == string.sub(ARGV[3], 19, 26) then return 1 end
  return 3
end
local h, no = head(KEYS[1])
if not h then return no end
if string.sub(h, 19, 26) ~= ARGV[2] then return 2 end
redis.call('SET', KEYS[2], ARGV[3], 'PXAT', ARGV[4])
if ARGV[5] == '' then
  redis.call('DEL', KEYS[1])
  list(KEYS[1], user(h), '')
else
  redis.call('SET', KEYS[1], ARGV[5], 'PXAT', ARGV[6])
  list(KEYS[1], user(h), user(ARGV[5]))
end
list(KEYS[2], '', user(ARGV[3]))
wake(KEYS[1], h)
return 1"
}

script! {
    /// `ARGV`: deadline in microseconds as it is stored, and in milliseconds.
    TOUCH = head!(), "local h, no = head(KEYS[1])
if not h then return no end
redis.call('SETRANGE', KEYS[1], 26, ARGV[1])
redis.call('PEXPIREAT', KEYS[1], ARGV[2])
return 1"
}

script! {
    /// `ARGV`: token, microseconds.
    RENEW = head!(), now!(), "local h, no = head(KEYS[1])
if not h then return no end
local t = now()
if string.sub(h, 3, 10) ~= ARGV[1] or t >= struct.unpack('>I8', h, 11) then return 5 end
redis.call('SETRANGE', KEYS[1], 10, struct.pack('>I8', t + ARGV[2]))
return 1"
}

script! {
    /// `ARGV`: token.
    RELEASE = head!(), free!(), wake!(), "local h, no = head(KEYS[1])
if not h then return no end
if string.sub(h, 3, 10) ~= ARGV[1] then return 5 end
redis.call('SETRANGE', KEYS[1], 1, '\\0' .. FREE .. FREE)
wake(KEYS[1], h)
return 1"
}

script! {
    /// `ARGV`: channel of the node that waits. Answers how many microseconds the lease lasts, or 0 if it is
    /// free. The list of nodes ends by itself, soon after the lease.
    WATCH = head!(), free!(), now!(), "local h = head(KEYS[1])
if not h or string.sub(h, 3, 10) == FREE then return 0 end
local left = struct.unpack('>I8', h, 11) - now()
if left <= 0 then return 0 end
if ARGV[1] ~= '' then
  local waiters = KEYS[1] .. ':waiters'
  redis.call('SADD', waiters, ARGV[1])
  redis.call('PEXPIRE', waiters, string.format('%.0f', math.min(left / 1000, 1000000000) + 1000))
  if string.byte(h, 2) == 0 then redis.call('SETRANGE', KEYS[1], 1, '\\1') end
end
return left"
}

script! {
    /// `ARGV`: index, version seen or nothing.
    DELETE = head!(), wake!(), index!(), "local h, no = head(KEYS[1])
if not h then
  if no < 0 and ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
  return no
end
if ARGV[2] ~= '' and string.sub(h, 19, 26) ~= ARGV[2] then return 2 end
redis.call('DEL', KEYS[1])
list(KEYS[1], user(h), '')
wake(KEYS[1], h)
return 1"
}

script! {
    /// `ARGV`: milliseconds to keep the bytes.
    SET_ASIDE = "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('RENAME', KEYS[1], KEYS[1] .. ':aside')
redis.call('PEXPIRE', KEYS[1] .. ':aside', ARGV[1])
return 1"
}

script! {
    /// `ARGV`: what must be there: a version, nothing for no record, `?` for whatever it is. Answers DONE or
    /// LOST, after a write that makes the `WAIT` behind it speak of all writes before.
    SETTLE = "local v = redis.call('GETRANGE', KEYS[1], 18, 25)
redis.pcall('SET', KEYS[1] .. ':settle', '', 'PX', 1000)
if ARGV[1] == '?' or v == ARGV[1] then return 1 end
return 5"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_the_digest_that_the_server_computes() {
        assert_eq!(LOAD.digest().len(), 40);
        assert_ne!(LOAD.digest(), RELEASE.digest());
    }
}
