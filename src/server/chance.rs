//! Chance for spreads and ids, not for secrets: a xorshift* generator seeded by the system, or by who wants it to draw the
//! same again.

/// A small generator (Vigna's xorshift64*).
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// Seeds one from the system, or from the address of the stack where the system has none to give.
    pub fn from_system() -> Self {
        let mut seed = [0; 8];
        let fallback = std::ptr::from_ref(&seed) as u64;
        let seed = if getrandom::fill(&mut seed).is_ok() { u64::from_ne_bytes(seed) } else { fallback };
        Self(seed | 1)
    }

    /// One that draws the same numbers as every other of this seed.
    pub fn from_seed(seed: u64) -> Self {
        // Spread: small seeds are near each other, and the first draws of near states are, too.
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number, each as likely as any but 0, which never comes.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}
