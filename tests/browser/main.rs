//! The pages in real browsers against the real server: what one plays the others see and hear, and what operators see.

#![cfg(feature = "server")]

mod actors;
#[path = "../support/desk.rs"]
mod desk;
mod hall;
mod player;
mod process;

use hall::Hall;
use player::{Player, Screen};
use serde_json::json;

const AMBER: &str = "#e8b04a";
const TEAL: &str = "#3fb8a5";

/// A condition: somebody of this name and colour holds exactly these notes, and nobody else any, and the keys show it.
fn holds(name: &str, colour: &str, notes: &[u8]) -> String {
    let shown: Vec<_> = notes
        .iter()
        .map(|note| {
            format!(
                "document.querySelector('#key-{note}').classList.contains('lit') && \
                 getComputedStyle(document.querySelector('#key-{note}')).getPropertyValue('--lit') === '{colour}' && "
            )
        })
        .collect();
    format!(
        "{}JSON.stringify(state.held.map((held) => held.note).sort((a, b) => a - b)) === '{}' && \
         state.held.every((held) => held.colour === '{colour}' && \
           state.members.find((member) => member.participant === held.participant).name === '{name}')",
        shown.concat(),
        json!(notes),
    )
}

/// A condition: no key is down, by the page's books and on its keys, and all has died away.
const ALL_QUIET: &str = "state.held.length === 0 && !document.querySelector('.key.lit') && \
    window.pianorhythm.scheduledVoices() === 0 && window.pianorhythm.analyserLevel() < 1e-3";

/// A condition: something sounds.
const SOUNDS: &str = "window.pianorhythm.scheduledVoices() > 0 && window.pianorhythm.analyserLevel() > 1e-3";

#[tokio::test]
async fn what_one_presses_the_other_sees_and_hears() {
    let Some(hall) = Hall::open("what_one_presses_the_other_sees_and_hears").await else { return };
    let ada = Player::arrive(&hall, &hall.url("/?room=Duet"), "Ada", AMBER).await;
    let bo = Player::arrive(&hall, &hall.url("/?room=Duet"), "Bo", TEAL).await;
    for player in [&ada, &bo] {
        player.until("both to be there", "state.members.length === 2 && state.roundTripMs !== null").await;
        player.until("silence before the first note", ALL_QUIET).await;
    }

    // On the computer's keyboard, `q` is middle C.
    ada.key_down('q').await;
    bo.until("Ada's C to be seen", &holds("Ada", AMBER, &[60])).await;
    bo.until("Ada's C to be heard", SOUNDS).await;
    ada.key_down('e').await;
    bo.until("Ada's third", &holds("Ada", AMBER, &[60, 64])).await;
    ada.key_up('q').await;
    bo.until("the C to be released", &holds("Ada", AMBER, &[64])).await;
    ada.key_up('e').await;
    bo.until("the end of it", ALL_QUIET).await;

    // The other way, with the mouse.
    bo.mouse_down(67).await;
    bo.until("one's own note to be heard at once", SOUNDS).await;
    ada.until("Bo's G to be seen", &holds("Bo", TEAL, &[67])).await;
    ada.until("Bo's G to be heard", SOUNDS).await;
    bo.mouse_up().await;
    ada.until("the end of it", ALL_QUIET).await;

    // The space bar is the pedal: the key comes up, the string sounds on.
    ada.key_down(' ').await;
    ada.key_down('t').await;
    bo.until("the note under the pedal", &holds("Ada", AMBER, &[67])).await;
    ada.key_up('t').await;
    bo.until("the pedal to hold it", "state.held.length === 0 && state.sustained.length === 1").await;
    bo.until("it to sound on", SOUNDS).await;
    ada.key_up(' ').await;
    bo.until("the dampers to fall", ALL_QUIET).await;

    // The button keeps the pedal down until it is pressed again.
    ada.click("#pedal").await;
    bo.until("the pedal", "state.sustained.length === 1").await;
    ada.click("#pedal").await;
    bo.until("the pedal's release", "state.sustained.length === 0").await;

    assert_eq!(bo.value("window.pianorhythm.state().gaps").await, json!(0));
    assert_eq!(ada.value("window.pianorhythm.state().gaps").await, json!(0));
    ada.leave().await;
    bo.leave().await;
    hall.close();
}

#[tokio::test]
async fn who_goes_in_the_middle_of_a_note_leaves_silence() {
    let Some(hall) = Hall::open("who_goes_in_the_middle_of_a_note_leaves_silence").await else { return };
    let ada = Player::arrive(&hall, &hall.url("/?room=Duet"), "Ada", AMBER).await;
    let bo = Player::arrive(&hall, &hall.url("/?room=Duet"), "Bo", TEAL).await;
    ada.until("both to be there", "state.members.length === 2").await;
    ada.mouse_down(60).await;
    bo.until("the note", &holds("Ada", AMBER, &[60])).await;
    bo.until("the note to sound", SOUNDS).await;
    ada.leave().await;
    bo.until("silence and an empty chair", &format!("{ALL_QUIET} && state.members.length === 1")).await;
    bo.leave().await;
    hall.close();
}

#[tokio::test]
async fn chat_goes_both_ways_and_stays_text() {
    let Some(hall) = Hall::open("chat_goes_both_ways_and_stays_text").await else { return };
    let ada = Player::arrive(&hall, &hall.url("/?room=Talk"), "Ada", AMBER).await;
    let bo = Player::arrive(&hall, &hall.url("/?room=Talk"), "Bo", TEAL).await;
    ada.until("both to be there", "state.members.length === 2").await;

    ada.enter("#chat-input", "shall we?").await;
    for player in [&ada, &bo] {
        player.until("Ada's line", "state.chat.filter((line) => line === 'shall we?').length === 1").await;
    }
    let markup = "<img src=x onerror=alert(1)> <b>bold</b>";
    bo.enter("#chat-input", markup).await;
    ada.until("Bo's line, as it was typed", &format!("state.chat.at(-1) === '{markup}'")).await;
    assert_eq!(ada.value("document.querySelectorAll('#chat-log img, #chat-log b').length").await, json!(0));

    // A command is answered to the one who gave it.
    ada.enter("#chat-input", "/users").await;
    ada.until("the answer", "state.chat.at(-1).includes('Ada') && state.chat.at(-1).includes('Bo')").await;
    assert_eq!(bo.value("window.pianorhythm.state().chat.at(-1)").await, json!(markup));

    // Letters typed into a line are not notes.
    assert_eq!(bo.value("window.pianorhythm.state().held.length").await, json!(0));

    // Who comes later reads what was said.
    let cy = Player::arrive(&hall, &hall.url("/?room=Talk"), "Cy", TEAL).await;
    cy.until("the history", "state.chat.includes('shall we?')").await;
    for player in [ada, bo, cy] {
        player.leave().await;
    }
    hall.close();
}

#[tokio::test]
async fn the_link_in_the_address_bar_leads_into_the_room_that_was_opened() {
    let Some(hall) = Hall::open("the_link_in_the_address_bar_leads_into_the_room_that_was_opened").await else {
        return;
    };
    let ada = Player::arrive(&hall, &hall.url("/"), "Ada", AMBER).await;
    ada.until("a lobby", "state.room.id.startsWith('lobby') && !state.owner").await;

    ada.click("#room-button").await;
    ada.click("#make-room").await;
    ada.find("#make [name=name]").await.send_keys("Ada’s attic & cellar").await.unwrap();
    ada.click("#make [name=ownerPlays]").await;
    ada.enter("#make [name=password]", "tea").await;
    ada.until("a room of her own", "state.room.name === 'Ada’s attic & cellar' && state.owner").await;
    let link = ada.address().await;
    assert!(link.contains("?room=Ada"), "{link}");

    let bo = Player::arrive(&hall, &hall.url("/"), "Bo", TEAL).await;
    bo.go(&link).await;
    bo.until("the question", "document.querySelector('#password').open").await;
    bo.enter("#password [name=password]", "coffee").await;
    bo.until("the question again", "document.querySelector('#password .why').textContent.includes('not the password')")
        .await;
    bo.enter("#password [name=password]", "tea").await;
    bo.until("the attic", "state.room?.name === 'Ada’s attic & cellar' && state.members.length === 2").await;

    // Only the owner plays: what Bo plays, Bo alone hears.
    bo.key_down('q').await;
    bo.until("his own note", &holds("Bo", TEAL, &[60])).await;
    ada.key_down('e').await;
    bo.until("hers", "state.held.some((held) => held.note === 64)").await;
    assert_eq!(ada.value("window.pianorhythm.state().held.map((held) => held.note)").await, json!([64]));
    bo.key_up('q').await;
    ada.key_up('e').await;

    // She sends him away: he is told why, and is not back by himself.
    ada.click("#people-list li:not(.me) button").await;
    ada.choose("Kick").await;
    bo.until("the end", "state.connection === 'stopped' && !document.querySelector('#curtain').hidden").await;
    let why = bo.value("document.querySelector('#curtain-why').textContent").await;
    assert_eq!(why, json!("You were asked to leave the room."));
    ada.until("his leaving", "state.members.length === 1").await;
    bo.click("#curtain-retry").await;
    bo.until("a lobby", "state.room?.id.startsWith('lobby')").await;
    ada.leave().await;
    bo.leave().await;
    hall.close();
}

#[tokio::test]
async fn a_phone_holds_the_page_and_plays_by_touch() {
    let Some(hall) = Hall::open("a_phone_holds_the_page_and_plays_by_touch").await else { return };
    let desk = Player::arrive(&hall, &hall.url("/?room=Pocket"), "Ada", AMBER).await;
    let phone = Player::arrive_on(&hall, Screen::Phone, &hall.url("/?room=Pocket"), "Bo", TEAL).await;
    desk.until("both to be there", "state.members.length === 2").await;

    phone.finger_down("thumb", 60).await;
    desk.until("one finger", &holds("Bo", TEAL, &[60])).await;
    desk.until("the finger to be heard", SOUNDS).await;
    phone.fingers_up().await;
    desk.until("the finger's end", ALL_QUIET).await;

    for tab in ["piano", "people", "chat"] {
        phone.click(&format!("#tab-{tab}")).await;
        assert_eq!(phone.value("window.innerWidth").await, json!(390));
        let wide = phone.value("document.documentElement.scrollWidth > innerWidth").await;
        assert_eq!(wide, json!(false), "{tab} is wider than the screen");
        // The keys themselves are wider on purpose, and cut off by their frame.
        let beyond = "[...document.querySelectorAll('.app *')].filter((element) => !element.closest('.keybed') && \
            element.checkVisibility() && element.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML)";
        assert_eq!(phone.value(beyond).await, json!([]), "{tab} reaches beyond the screen");
    }
    phone.enter("#chat-input", "from the bus").await;
    desk.until("the phone's line", "state.chat.at(-1) === 'from the bus'").await;
    let picture = phone.screenshot().await;
    assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n") && picture.len() > 20_000, "{} bytes", picture.len());
    desk.leave().await;
    phone.leave().await;
    hall.close();
}

#[tokio::test]
async fn after_the_server_comes_back_the_room_fills_again_and_plays() {
    let Some(mut hall) = Hall::open("after_the_server_comes_back_the_room_fills_again_and_plays").await else { return };
    let ada = Player::arrive(&hall, &hall.url("/?room=Phoenix"), "Ada", AMBER).await;
    let bo = Player::arrive(&hall, &hall.url("/?room=Phoenix"), "Bo", TEAL).await;
    ada.until("both to be there", "state.members.length === 2").await;
    ada.key_down('q').await;
    bo.until("the note", &holds("Ada", AMBER, &[60])).await;

    hall.stop_server();
    bo.until("the note to end with the server", ALL_QUIET).await;
    bo.until("word of it", "state.connection !== 'open' && !document.querySelector('#curtain').hidden").await;
    ada.until("word of it", "state.connection !== 'open'").await;
    // She plays on by herself, and lets go of it all before the others are back.
    ada.until("her own note", "state.held.length === 1").await;
    ada.key_up('q').await;

    hall.start_server();
    for player in [&ada, &bo] {
        let back = "state.connection === 'open' && state.room?.id === 'phoenix' && state.members.length === 2 && \
            document.querySelector('#curtain').hidden";
        player.until("the room to be full again", back).await;
    }
    bo.key_down('q').await;
    ada.until("music", &holds("Bo", TEAL, &[60])).await;
    ada.until("sound", SOUNDS).await;
    bo.key_up('q').await;
    ada.until("its end", ALL_QUIET).await;
    ada.leave().await;
    bo.leave().await;
    hall.close();
}

#[tokio::test]
async fn a_midi_keyboard_plays_until_it_is_pulled_out() {
    let Some(hall) = Hall::open("a_midi_keyboard_plays_until_it_is_pulled_out").await else { return };
    let ada = Player::arrive(&hall, &hall.url("/?room=Cable"), "Ada", AMBER).await;
    let bo = Player::arrive(&hall, &hall.url("/?room=Cable"), "Bo", TEAL).await;
    bo.until("both to be there", "state.members.length === 2").await;
    // No test machine has one: what the browser would hand out is made here, the rest is the page's own.
    ada.run(
        "window.input = { id: 'a', name: 'Stage piano', type: 'input', state: 'connected', onmidimessage: null };
        window.access = { inputs: new Map([['a', window.input]]), onstatechange: null };
        navigator.requestMIDIAccess = async () => window.access;
        window.play = (...data) => window.input.onmidimessage({ data: Uint8Array.from(data), timeStamp: performance.now() });
        arguments[0](null);",
    )
    .await;
    ada.click("#midi").await;
    ada.choose("● All devices").await;
    ada.value("window.play(0x90, 48, 90), window.play(0x94, 55, 70), window.play(0xb0, 64, 127)").await;
    bo.until("a fifth on two channels", &holds("Ada", AMBER, &[48, 55])).await;
    bo.until("its sound and the pedal", &format!("{SOUNDS} && state.sustained.length === 1")).await;
    ada.value("window.play(0x90, 48, 0)").await;
    bo.until("the release", &holds("Ada", AMBER, &[55])).await;
    ada.value("(window.input.state = 'disconnected', window.access.onstatechange({ port: window.input }))").await;
    bo.until("nothing to be left of it", ALL_QUIET).await;
    ada.leave().await;
    bo.leave().await;
    hall.close();
}

#[tokio::test]
async fn what_the_page_decides_by_itself_holds() {
    let Some(hall) = Hall::open("what_the_page_decides_by_itself_holds").await else { return };
    let ada = Player::arrive(&hall, &hall.url("/"), "Ada", AMBER).await;
    assert_eq!(ada.run(include_str!("decisions.js")).await, json!([]));
    ada.leave().await;
    hall.close();
}
