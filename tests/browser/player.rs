//! Somebody at the page: a browser of its own, driven as a person would drive it.

use fantoccini::{
    Client, ClientBuilder, Locator,
    actions::{InputSource as _, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction, TouchActions},
    elements::Element,
    key::Key,
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::hall::Hall;

/// How long a page may take to show what a test waits for.
const PATIENCE_MS: u32 = 30_000;

/// What a browser is shown on.
#[derive(Clone, Copy)]
pub enum Screen {
    /// 1280 by 860.
    Desk,
    /// 390 by 844, with touch.
    Phone,
}

/// A person with a browser.
pub struct Player {
    client: Client,
    _profile: TempDir,
}

impl Player {
    /// Opens the page, writes its name on the card, picks a colour of the palette and sits down.
    pub async fn arrive(hall: &Hall, url: &str, name: &str, colour: &str) -> Self {
        Self::arrive_on(hall, Screen::Desk, url, name, colour).await
    }

    /// As [`Player::arrive`], on a screen of choice.
    pub async fn arrive_on(hall: &Hall, screen: Screen, url: &str, name: &str, colour: &str) -> Self {
        let player = Self::browse(hall, screen, url).await;
        player.until("the card", "document.querySelector('#profile[open] [name=name]').value !== ''").await;
        let field = player.find("#profile [name=name]").await;
        field.clear().await.unwrap();
        field.send_keys(name).await.unwrap();
        player.click(&format!(".swatch:has(input[value=\"{colour}\"])")).await;
        player.click("#profile [type=submit]").await;
        player.until("a seat", "!document.querySelector('#profile').open && state.room && state.soundReady").await;
        player
    }

    /// Opens any page, and does nothing there.
    pub async fn browse(hall: &Hall, screen: Screen, url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(hall, screen, &profile).as_object().unwrap().clone())
            .connect(&hall.driver_url)
            .await
            .expect("chromedriver opens a browser");
        client.goto(url).await.unwrap();
        Self { client, _profile: profile }
    }

    /// Waits until a condition holds in the page. In it `state` is `window.pianorhythm.state()`, on pages that have it.
    pub async fn until(&self, what: &str, condition: &str) {
        let script = format!(
            "const done = arguments[0], end = performance.now() + {PATIENCE_MS};
            (function look() {{
              let holds = false, state = null, error = '';
              try {{ state = window.pianorhythm?.state(); holds = Boolean({condition}); }} catch (e) {{ error = String(e); }}
              if (holds) done(null);
              else if (performance.now() > end) done({{ error, state }});
              else setTimeout(look, 10);
            }})();"
        );
        let found = self.client.execute_async(&script, Vec::new()).await.unwrap();
        assert_eq!(found, Value::Null, "waited in vain for {what}: {condition}");
    }

    /// The value of an expression in the page.
    pub async fn value(&self, expression: &str) -> Value {
        self.client.execute(&format!("return {expression};"), Vec::new()).await.unwrap()
    }

    /// Runs a script that says by its last argument that it is done, and with what.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute_async(script, Vec::new()).await.unwrap()
    }

    /// Opens another address in the same browser.
    pub async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// The address bar.
    pub async fn address(&self) -> String {
        self.client.current_url().await.unwrap().to_string()
    }

    /// The picture on the screen, a PNG.
    pub async fn screenshot(&self) -> Vec<u8> {
        self.client.screenshot().await.unwrap()
    }

    /// The one element of a CSS selector.
    pub async fn find(&self, selector: &str) -> Element {
        self.client.find(Locator::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    /// Clicks the one element of a CSS selector.
    pub async fn click(&self, selector: &str) {
        self.find(selector).await.click().await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Clicks the item of the open menu that reads so.
    pub async fn choose(&self, label: &str) {
        let item = format!("//*[@role='menuitem'][text()='{label}']");
        self.client.find(Locator::XPath(&item)).await.unwrap().click().await.unwrap();
    }

    /// Writes into a field and presses Enter.
    pub async fn enter(&self, selector: &str, text: &str) {
        let field = self.find(selector).await;
        field.send_keys(text).await.unwrap();
        field.send_keys(&char::from(Key::Enter).to_string()).await.unwrap();
    }

    /// Presses a key of the computer's keyboard and holds it.
    pub async fn key_down(&self, key: char) {
        let down = KeyActions::new("keyboard".into()).then(KeyAction::Down { value: key });
        self.client.perform_actions(down).await.unwrap();
    }

    /// Lets go of a key of the computer's keyboard.
    pub async fn key_up(&self, key: char) {
        let up = KeyActions::new("keyboard".into()).then(KeyAction::Up { value: key });
        self.client.perform_actions(up).await.unwrap();
    }

    /// Presses the mouse on a key of the piano and holds it.
    pub async fn mouse_down(&self, note: u8) {
        let down = MouseActions::new("mouse".into())
            .then(onto(self.piano_key(note).await))
            .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT });
        self.client.perform_actions(down).await.unwrap();
    }

    /// Lets go of the mouse.
    pub async fn mouse_up(&self) {
        let up = MouseActions::new("mouse".into()).then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
        self.client.perform_actions(up).await.unwrap();
    }

    /// Puts a finger on a key of the piano and leaves it there.
    pub async fn finger_down(&self, finger: &str, note: u8) {
        let down = TouchActions::new(finger.into())
            .then(onto(self.piano_key(note).await))
            .then(PointerAction::Down { button: 0 });
        self.client.perform_actions(down).await.unwrap();
    }

    /// Lifts all fingers.
    pub async fn fingers_up(&self) {
        self.client.release_actions().await.unwrap();
    }

    /// Ends the browser.
    pub async fn leave(self) {
        self.client.close().await.unwrap();
    }

    async fn piano_key(&self, note: u8) -> Element {
        self.find(&format!("#key-{note}")).await
    }
}

/// A place on a white key that no black key covers.
fn onto(element: Element) -> PointerAction {
    PointerAction::MoveToElement { element, duration: None, x: 0.0, y: 40.0 }
}

fn capabilities(hall: &Hall, screen: Screen, profile: &TempDir) -> Value {
    let mut arguments = vec![
        "--headless".to_owned(),
        "--no-sandbox".into(),
        "--disable-gpu".into(),
        "--disable-dev-shm-usage".into(),
        "--disable-quic".into(),
        "--no-first-run".into(),
        "--disable-background-networking".into(),
        "--disable-component-update".into(),
        "--disable-sync".into(),
        "--autoplay-policy=no-user-gesture-required".into(),
        format!("--user-data-dir={}", profile.path().display()),
    ];
    let mut options = json!({ "binary": hall.chromium });
    match screen {
        Screen::Desk => arguments.push("--window-size=1280,860".into()),
        Screen::Phone => {
            let metrics = json!({ "width": 390, "height": 844, "pixelRatio": 2.0, "touch": true, "mobile": true });
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
    }
    options["args"] = json!(arguments);
    json!({
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "timeouts": { "script": 2 * PATIENCE_MS, "pageLoad": PATIENCE_MS },
    })
}
