//! Sessions that three nodes share with a CodeIgniter application: the probe with `--layout ci4`, and a real PHP
//! process that follows CodeIgniter's protocol on the same store.

mod application;
mod counters;
mod engine;
mod life;
mod locks;
mod rotation;
