//! What happens beside the band in a part of a run: a storm, a flood, a crowd.

use std::{io, time::Instant};

use crate::{outcome::Beside, target::Target};

/// Where it happens.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The server.
    pub target: Target,
    /// The band's rooms.
    pub rooms: Vec<String>,
    /// Where chance begins.
    pub seed: u64,
}

/// What happens.
pub trait Act: Send {
    /// What has to be there before the piece begins.
    fn prepare(&mut self, scene: &Scene) -> io::Result<()> {
        let _ = scene;
        Ok(())
    }

    /// Does it until then, on a thread of its own, and tells what came of it.
    fn run(self: Box<Self>, scene: &Scene, until: Instant) -> io::Result<Beside>;
}

/// A part of a run.
pub struct Part {
    /// Its name.
    pub name: String,
    /// How long it is, in seconds.
    pub seconds: f64,
    /// What happens in it beside the band.
    pub act: Option<Box<dyn Act>>,
}

impl Part {
    /// The band alone.
    pub fn quiet(name: &str, seconds: f64) -> Self {
        Self { name: name.into(), seconds, act: None }
    }

    /// The band, and this beside it.
    pub fn beside(name: &str, seconds: f64, act: impl Act + 'static) -> Self {
        Self { name: name.into(), seconds, act: Some(Box::new(act)) }
    }
}
