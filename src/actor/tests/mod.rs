//! The runtime as a whole, in virtual time: hosts are turned by hand on one thread.

mod asking;
mod basics;
mod corners;
mod failing;
mod kit;
mod life;
mod mailboxes;
mod monitors;
mod pools;
mod topics;
mod tree;
