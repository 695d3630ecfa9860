//! What was written about saved rooms, and which of it may be what is kept: a change that was acknowledged stays until another
//! comes after it.

use crate::plan::ROOMS;

/// One thing about a room that is written whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    Welcome,
    /// Of a user: banned, or not.
    Ban(usize),
    /// Of a user: muted, or not.
    Mute(usize),
}

/// What a register is before anybody writes it.
const BLANK: &str = "";

struct Write {
    register: Register,
    /// None where it is not certain which it reaches.
    room: Option<String>,
    value: String,
    asked: usize,
    /// It was answered, with whatever.
    answered: Option<usize>,
    is_acknowledged: bool,
}

/// All that was written, in the order in which it was asked for.
#[derive(Default)]
pub struct Registers {
    writes: Vec<Write>,
    /// One more with whatever is asked or answered.
    time: usize,
}

impl Registers {
    /// A change is asked for; its number.
    pub fn ask(&mut self, register: Register, room: Option<String>, value: String) -> usize {
        self.time += 1;
        let asked = self.time;
        self.writes.push(Write { register, room, value, asked, answered: None, is_acknowledged: false });
        self.writes.len() - 1
    }

    /// It was answered; with an acknowledgement, or it may be and may not be.
    pub fn answer(&mut self, write: usize, is_acknowledged: bool) {
        self.time += 1;
        let write = &mut self.writes[write];
        write.answered = Some(self.time);
        // Where it is not certain to be about the room it was asked in, nothing is promised of any.
        write.is_acknowledged = is_acknowledged && write.room.is_some();
    }

    /// What is kept of a room must be what somebody wrote and nobody has written over.
    pub fn check(&self, room: &str, register: Register, kept: &str) -> Result<(), String> {
        let here = |write: &&Write| write.register == register && write.room.as_deref().is_none_or(|of| of == room);
        let is_over = |answered: usize| {
            let mut writes = self.writes.iter().filter(here);
            writes.any(|later| later.is_acknowledged && answered < later.asked)
        };
        let mut candidates = self.writes.iter().filter(here).filter(|write| write.value == kept);
        if (kept == BLANK && !is_over(0)) || candidates.any(|write| write.answered.is_none_or(|at| !is_over(at))) {
            return Ok(());
        }
        Err(format!("{room} was acknowledged to have another {register:?} than {kept:?}, which is kept"))
    }

    /// The registers that were ever written.
    pub fn all(&self) -> impl Iterator<Item = (Register, &str)> {
        self.writes.iter().flat_map(|write| {
            let rooms = write.room.as_deref().map_or(&ROOMS[..], |_| &[]);
            rooms.iter().copied().chain(write.room.as_deref()).map(move |room| (write.register, room))
        })
    }
}

#[test]
fn what_was_acknowledged_is_kept_until_another_comes_after_it() {
    let mut registers = Registers::default();
    let mut write = |value: &str| registers.ask(Register::Welcome, Some("attic".into()), value.into());
    let (first, second, third) = (write("1"), write("2"), write("3"));
    registers.answer(first, true);
    let check = |registers: &Registers, kept| registers.check("attic", Register::Welcome, kept).is_ok();
    assert!(check(&registers, "1") && check(&registers, "2") && check(&registers, "3"));
    assert!(!check(&registers, "4"), "nobody has written that");
    assert!(!check(&registers, ""), "the first is written over that");
    // The second may have come before or after the first, the third only after both.
    registers.answer(second, true);
    let third_again = registers.ask(Register::Welcome, Some("attic".into()), "5".into());
    registers.answer(third_again, true);
    assert!(check(&registers, "5") && check(&registers, "3") && !check(&registers, "1") && !check(&registers, "2"));
    registers.answer(third, false);
    assert!(check(&registers, "3"), "an error may be one of the store, and it is made all the same");
}
