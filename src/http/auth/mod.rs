//! Who is asking: the server's signing key, the tokens made and verified with it, and who they make a visitor.

pub mod guest;
pub mod keys;
pub mod token;
pub mod visitor;

pub use keys::{KeyError, RetiredKey, SigningKey};
pub use token::{Claims, Kind, TokenError, Tokens};
