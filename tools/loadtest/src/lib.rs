//! Loads a PianoRhythm server with players who check and time every note they hear.
//!
//! A *band* is many rooms of players who play in time, whether the server keeps up or not: what is told is the time from the
//! moment a note was *due* to its arrival at each listener, so that a stall of server or load shows in every note that
//! waited for it. The clocks of players and listeners are one, so the figures are exact; our own share stands beside them.
//! Every note carries a number, and a run fails where one is lost, doubled, out of order or changed.
//!
//! The code, from pure to not: [`score`] (what is played when), [`sequence`], [`ear`] and [`percentiles`] (what is made of
//! it), [`frame`] and [`note`] (bytes), [`outcome`], [`summary`], [`compare`] and [`report`] (what is told); [`target`] and
//! [`wire`] (connections), [`seating`], [`hall`] and [`players`] (the band), [`act`], [`crowd`], [`chance`] and [`scenario`] (what happens beside it), [`process`], [`metrics`] and [`watch`] (the server as seen from outside), [`run`] (all together), [`floor`] (the
//! least that a relay can cost), [`common`], [`settings`], [`script`] and [`cli`] (what it is told to do).

#![allow(clippy::disallowed_methods, reason = "it measures time")]

pub mod act;
pub mod chance;
pub mod cli;
pub mod common;
pub mod compare;
pub mod crowd;
pub mod ear;
pub mod floor;
pub mod frame;
pub mod hall;
pub mod metrics;
pub mod note;
pub mod outcome;
pub mod percentiles;
pub mod players;
pub mod process;
pub mod progress;
pub mod ratio;
pub mod report;
pub mod run;
pub mod scenario;
pub mod score;
pub mod script;
pub mod seating;
pub mod sequence;
pub mod settings;
pub mod summary;
pub mod target;
pub mod watch;
pub mod wire;
