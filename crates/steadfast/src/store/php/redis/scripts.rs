//! The scripts: whose lock it is, what is stored, and the write, in one atomic step.
//!
//! `KEYS` are the session and its lock, of both sessions in `REPLACE`. Bytes that were seen are told by their
//! SHA-1, which the server computes itself whenever it gives them out. Nothing rests on its being hard to
//! forge: whoever can choose the bytes of a session can choose to write over it.
//!
//! Answers are the numbers of the native driver, or what was found: eight bytes of the server's time, eight of
//! the milliseconds that are left to the key, forty of the SHA-1 in hexadecimal, and the bytes.

use crate::store::redis::scripts::script;

/// `found(key, v)` packs what a key holds.
macro_rules! found {
    () => {
        "local function found(key, v)
  local t = redis.call('TIME')
  local now = t[1] * 1000000 + t[2]
  return struct.pack('>I8i8', now, redis.call('PTTL', key)) .. redis.sha1hex(v) .. v
end
"
    };
}

/// `put(key, v, old, expires_at, lifetime)` stores bytes for whole seconds, rounded up, and never for longer
/// than the lifetime. Bytes that are there already only get the time, as with PHP.
macro_rules! put {
    () => {
        "local function seconds(expires_at, lifetime)
  local t = redis.call('TIME')
  local left = math.ceil((expires_at - t[1] * 1000000 - t[2]) / 1000000)
  return math.max(0, math.min(left, tonumber(lifetime)))
end
local function put(key, v, old, expires_at, lifetime)
  local left = seconds(expires_at, lifetime)
  if v == old or left == 0 then
    redis.call('EXPIRE', key, left)
  else
    redis.call('SET', key, v, 'EX', left)
  end
end
"
    };
}

/// `ours(lock, owner)` returns whether a lock is free or this process holds it, and whether it is held.
macro_rules! ours {
    () => {
        "local function ours(lock, owner)
  local held = redis.call('GET', lock)
  return not held or string.sub(held, 1, #owner) == owner, held
end
"
    };
}

script! {
    /// No arguments, no lock. Answers what was found or MISSING.
    LOAD = found!(), "local v = redis.call('GET', KEYS[1])
if not v then return 0 end
return found(KEYS[1], v)"
}

script! {
    /// `ARGV`: value of the lock, milliseconds. Answers what was found, BUSY or MISSING.
    ACQUIRE = found!(), "local held = redis.call('GET', KEYS[2])
if held and held ~= ARGV[1] then return 4 end
local v = redis.call('GET', KEYS[1])
if not v then
  if held then redis.call('DEL', KEYS[2]) end
  return 0
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return found(KEYS[1], v)"
}

script! {
    /// `ARGV`: bytes, deadline, lifetime, owner. Answers the SHA-1, TAKEN or BUSY.
    CREATE = put!(), ours!(), "if not ours(KEYS[2], ARGV[4]) then return 4 end
if redis.call('EXISTS', KEYS[1]) == 1 then return 3 end
put(KEYS[1], ARGV[1], nil, ARGV[2], ARGV[3])
return redis.sha1hex(ARGV[1])"
}

script! {
    /// `ARGV`: SHA-1 seen, bytes, deadline, lifetime, value of the lock or nothing, milliseconds or nothing.
    ///
    /// Without a lock of the caller's it must be free, and is as good as held while the script runs. With
    /// milliseconds it is held on; else it ends. Answers the SHA-1 of the new bytes, BUSY, STALE or MISSING.
    UPDATE = put!(), "local held = redis.call('GET', KEYS[2])
if held and held ~= ARGV[5] then return 4 end
local v = redis.call('GET', KEYS[1])
if not v then return 0 end
if redis.sha1hex(v) ~= ARGV[1] then return 2 end
put(KEYS[1], ARGV[2], v, ARGV[3], ARGV[4])
if held and ARGV[6] ~= '' then
  redis.call('PEXPIRE', KEYS[2], ARGV[6])
elseif held then
  redis.call('DEL', KEYS[2])
end
return redis.sha1hex(ARGV[2])"
}

script! {
    /// `KEYS`: old, its lock, new, its lock. `ARGV`: owner, SHA-1 seen, lifetime, new bytes, their deadline, what
    /// the old one becomes, its deadline or nothing if it is deleted.
    ///
    /// Answers the SHA-1 of the new bytes, BUSY, TAKEN, STALE or MISSING.
    REPLACE = put!(), ours!(), "local free, held = ours(KEYS[2], ARGV[1])
if not free or not ours(KEYS[4], ARGV[1]) then return 4 end
if redis.call('EXISTS', KEYS[3]) == 1 then return 3 end
local v = redis.call('GET', KEYS[1])
if not v then return 0 end
if redis.sha1hex(v) ~= ARGV[2] then return 2 end
put(KEYS[3], ARGV[4], nil, ARGV[5], ARGV[3])
if ARGV[7] == '' then
  redis.call('DEL', KEYS[1])
else
  put(KEYS[1], ARGV[6], v, ARGV[7], ARGV[3])
end
if held then redis.call('DEL', KEYS[2]) end
return redis.sha1hex(ARGV[4])"
}

script! {
    /// `ARGV`: owner, SHA-1 seen or nothing. Answers DONE, BUSY, STALE or MISSING.
    DELETE = ours!(), "local free, held = ours(KEYS[2], ARGV[1])
if not free then return 4 end
local v = ARGV[2] ~= '' and redis.call('GET', KEYS[1])
if v and redis.sha1hex(v) ~= ARGV[2] then return 2 end
if held then redis.call('DEL', KEYS[2]) end
return redis.call('DEL', KEYS[1])"
}

script! {
    /// `ARGV`: deadline, lifetime. Without the lock, which PHP does not ask for, either.
    TOUCH = put!(), "return redis.call('EXPIRE', KEYS[1], seconds(ARGV[1], ARGV[2]))"
}

script! {
    /// `ARGV`: value of the lock, milliseconds. Answers DONE or LOST.
    RENEW = "if redis.call('GET', KEYS[2]) ~= ARGV[1] or redis.call('EXISTS', KEYS[1]) == 0 then return 5 end
return redis.call('PEXPIRE', KEYS[2], ARGV[2])"
}

script! {
    /// `ARGV`: value of the lock. Answers DONE or LOST.
    RELEASE = "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 5 end
return redis.call('DEL', KEYS[2])"
}

script! {
    /// `KEYS[3]`: where to. `ARGV`: owner, milliseconds to keep the bytes.
    ///
    /// Without the lock nobody here has looked at what is there now: then only what is no string is moved. Answers
    /// DONE, BUSY, STALE or MISSING.
    SET_ASIDE = ours!(), "local free, held = ours(KEYS[2], ARGV[1])
if not free then return 4 end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if not held and type(redis.pcall('GET', KEYS[1])) == 'string' then return 2 end
redis.call('RENAME', KEYS[1], KEYS[3])
redis.call('PEXPIRE', KEYS[3], ARGV[2])
if held then redis.call('DEL', KEYS[2]) end
return 1"
}

script! {
    /// `KEYS`: sessions. Answers what was found of each, which is nothing for those that are gone.
    PAGE = found!(), "local all = {}
for i, key in ipairs(KEYS) do
  local v = redis.pcall('GET', key)
  all[i] = type(v) == 'string' and found(key, v) or ''
end
return all"
}

script! {
    /// `ARGV`: what must be there: a SHA-1, nothing for no session, `?` for whatever it is. Answers DONE or LOST,
    /// after a write that makes the `WAIT` behind it speak of all writes before.
    SETTLE = "local v = redis.call('GET', KEYS[1])
redis.pcall('SET', KEYS[1] .. ':settle', '', 'PX', 1000)
if ARGV[1] == '?' or (v and redis.sha1hex(v) or '') == ARGV[1] then return 1 end
return 5"
}
