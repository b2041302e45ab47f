//! Session files that are shared with CodeIgniter and PHP: the driver beside real PHP processes.

mod counters;
mod crash;
mod fixture;
mod locks;
mod peer;
mod php_own;
mod records;
mod upkeep;
mod vectors;
