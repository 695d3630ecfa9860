//! The page: files embedded in the binary, served with the policy that nothing else may run or be reached.

use axum::Router;

use crate::http::asset::{self, Asset, Policy, assets};

const POLICY: Policy = Policy {
    // Only our own files run and style; `'self'` covers the WebSocket of this origin too.
    content: "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
        img-src 'self' data:; font-src 'self'; manifest-src 'self'; worker-src 'self'; \
        base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
    // The page plays and listens to keyboards, and needs nothing else of the device.
    permissions: "midi=(self), autoplay=(self), camera=(), microphone=(), geolocation=(), payment=(), usb=()",
};

/// Every file of `page/assets/`; a test compares.
const ASSETS: &[Asset] = assets! { "page/assets":
    "app.js" "chat.js" "clock.js" "colours.js" "connection.js" "dom.js" "favicon.svg" "hands.js" "index.html"
    "keyboard.js" "keys.js" "lobby.js" "menu.js" "midi-input.js" "notices.js" "outgoing.js" "people.js"
    "performer.js" "playout.js" "presence.js" "profile.js" "protocol.js" "reconnect.js" "room.js" "session.js"
    "settings.js" "sound.js" "stage.js" "style.css" "synth-worker.js" "text.js" "typing.js"
};

/// Each file under its own name, and the page at `/`.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    asset::router(ASSETS, &POLICY, |name| if name == "index.html" { "/".to_owned() } else { format!("/{name}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_embedded_with_a_known_type() {
        asset::assert_whole_folder(ASSETS, "page/assets");
    }
}
