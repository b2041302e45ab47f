//! The `redis` driver: the conformance suite on one server, a cluster and through sentinels; what is counted
//! by the server; what only a server can do to its clients.

mod access;
mod cluster;
mod conformance;
mod failover;
mod faults;
mod fixture;
mod limits;
mod round_trips;
mod waiting;
