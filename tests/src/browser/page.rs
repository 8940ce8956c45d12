//! [`Page`]: one tab.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::pipe::{Events, LIMIT, Pipe};
use crate::servers::ServerError;

/// Resolves once the document and all that it needs is there.
const LOADED: &str = "new Promise(resolve => document.readyState === 'complete' ? resolve(true) \
                      : addEventListener('load', () => resolve(true), { once: true }))";

/// One tab, or a [frame](Self::frame) in it. What leads to another page waits for it: until everything of it is loaded.
pub struct Page {
    pipe: Arc<Pipe>,
    session: String,
    /// Of the tab or the frame: also the id of its outermost frame.
    target: String,
    events: Arc<Events>,
}

/// `prefers-color-scheme`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `light`
    Light,
    /// `dark`
    Dark,
}

impl Scheme {
    /// Its name in CSS.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

impl Page {
    pub(super) async fn attach(pipe: Arc<Pipe>, target: &Value) -> Result<Self, ServerError> {
        let attached = pipe.call(None, "Target.attachToTarget", json!({ "targetId": target, "flatten": true })).await?;
        Self::new(pipe, &attached["sessionId"], target).await
    }

    async fn new(pipe: Arc<Pipe>, session: &Value, target: &Value) -> Result<Self, ServerError> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (session, target) = (text(session), text(target));
        let page = Self { events: pipe.events(&session), pipe, session, target };
        page.call("Page.enable", json!({})).await?;
        page.call("Log.enable", json!({})).await?;
        // Frames of other sites are in processes of their own.
        let frames = json!({ "autoAttach": true, "waitForDebuggerOnStart": false, "flatten": true });
        page.call("Target.setAutoAttach", frames).await?;
        Ok(page)
    }

    /// The page of another site that is in a frame of this one, after both were loaded; the latest, if there were several.
    /// Clicks lead on in the frame; only a tab can be opened, reloaded or pictured.
    ///
    /// # Errors
    /// If there is none.
    pub async fn frame(&self) -> Result<Self, ServerError> {
        let frames = self.events.all(0, |method, params| {
            let target = &params["targetInfo"];
            let is_frame = method == "Target.attachedToTarget" && target["type"] == "iframe";
            is_frame.then(|| (params["sessionId"].clone(), target["targetId"].clone()))
        });
        let (session, target) = frames.last().ok_or_else(|| ServerError::new("there is no frame of another site"))?;
        Self::new(Arc::clone(&self.pipe), session, target).await
    }

    /// Types an address.
    ///
    /// # Errors
    /// If there is no answer, or the connection fails.
    pub async fn open(&self, url: &str) -> Result<(), ServerError> {
        let before = self.events.count();
        let answer = self.call("Page.navigate", json!({ "url": url })).await?;
        match answer["errorText"].as_str() {
            None => self.arrive(before).await,
            Some(why) => Err(ServerError::new(format!("{url}: {why}"))),
        }
    }

    /// Clicks on the first element that `selector` finds, and waits for the page that it leads to.
    ///
    /// # Errors
    /// If there is none, or it leads nowhere.
    pub async fn click(&self, selector: &str) -> Result<(), ServerError> {
        let before = self.events.count();
        self.evaluate(&format!("{}.click()", element(selector))).await?;
        self.arrive(before).await
    }

    /// Writes into an input field.
    ///
    /// # Errors
    /// If there is none.
    pub async fn fill(&self, selector: &str, text: &str) -> Result<(), ServerError> {
        self.evaluate(&format!("{}.value = {}", element(selector), Value::from(text))).await.map(drop)
    }

    /// Goes back to the page before.
    ///
    /// # Errors
    /// If there is none.
    pub async fn back(&self) -> Result<(), ServerError> {
        let history = self.call("Page.getNavigationHistory", json!({})).await?;
        let index = history["currentIndex"].as_u64().and_then(|index| usize::try_from(index).ok()).unwrap_or_default();
        let entry = history["entries"].get(index.wrapping_sub(1)).map(|entry| entry["id"].clone());
        let entry = entry.ok_or_else(|| ServerError::new("there is no page to go back to"))?;
        let before = self.events.count();
        self.call("Page.navigateToHistoryEntry", json!({ "entryId": entry })).await?;
        self.arrive(before).await
    }

    /// Loads the page again.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn reload(&self) -> Result<(), ServerError> {
        let before = self.events.count();
        self.call("Page.reload", json!({})).await?;
        self.arrive(before).await
    }

    /// Closes the tab, whatever it is doing.
    ///
    /// # Errors
    /// If Chromium does not answer.
    pub async fn close(self) -> Result<(), ServerError> {
        self.pipe.call(None, "Target.closeTarget", json!({ "targetId": self.target })).await.map(drop)
    }

    /// The value of a JavaScript expression; if that is a promise, what it resolves to.
    ///
    /// # Errors
    /// If it throws, or has no value in JSON.
    pub async fn evaluate(&self, expression: &str) -> Result<Value, ServerError> {
        // As if the person did it.
        let how = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let mut answer = self.call("Runtime.evaluate", how).await?;
        let thrown = &answer["exceptionDetails"];
        if thrown.is_null() {
            return Ok(answer["result"]["value"].take());
        }
        let why = thrown["exception"]["description"].as_str().or(thrown["text"].as_str()).unwrap_or_default();
        Err(ServerError::new(format!("{expression}: {why}")))
    }

    /// What a person reads.
    ///
    /// # Errors
    /// If Chromium does not answer.
    pub async fn text(&self) -> Result<String, ServerError> {
        Ok(self.evaluate("document.body.innerText").await?.as_str().unwrap_or_default().to_owned())
    }

    /// The address.
    ///
    /// # Errors
    /// If Chromium does not answer.
    pub async fn url(&self) -> Result<String, ServerError> {
        Ok(self.evaluate("location.href").await?.as_str().unwrap_or_default().to_owned())
    }

    /// The status of the answer that the page is.
    ///
    /// # Errors
    /// If Chromium does not answer.
    pub async fn status(&self) -> Result<u64, ServerError> {
        let status = self.evaluate("performance.getEntriesByType('navigation')[0].responseStatus").await?;
        Ok(status.as_u64().unwrap_or_default())
    }

    /// What went wrong since the tab was opened, as the console shows it: refused by a policy, not found, thrown.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.events.all(0, |method, params| {
            let entry = &params["entry"];
            let is_error = method == "Log.entryAdded" && entry["level"] == "error";
            is_error.then(|| format!("{} {}", entry["text"], entry["url"]))
        })
    }

    /// Gives the window a size, in CSS pixels, and a colour scheme.
    ///
    /// # Errors
    /// If Chromium does not answer.
    pub async fn emulate(&self, width: u32, height: u32, scheme: Scheme) -> Result<(), ServerError> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).await?;
        let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme.name() }] });
        self.call("Emulation.setEmulatedMedia", scheme).await.map(drop)
    }

    /// Presses the tabulator key so often: the focus goes on from element to element.
    ///
    /// # Errors
    /// If Chromium does not answer.
    pub async fn press_tab(&self, times: usize) -> Result<(), ServerError> {
        // The window of no other page takes the focus away.
        self.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": true })).await?;
        for _ in 0..times {
            for event in ["rawKeyDown", "keyUp"] {
                let key = json!({ "type": event, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9 });
                self.call("Input.dispatchKeyEvent", key).await?;
            }
        }
        Ok(())
    }

    /// Writes a picture of the whole page, a PNG.
    ///
    /// # Errors
    /// If Chromium makes none, or it cannot be written.
    pub async fn screenshot(&self, path: &Path) -> Result<(), ServerError> {
        let picture = self.picture(1.0).await?;
        std::fs::write(path, picture).map_err(|error| ServerError::new(format!("{}: {error}", path.display())))
    }

    /// A picture of the whole page in so many pixels for each of CSS, a PNG.
    ///
    /// # Errors
    /// If Chromium makes none.
    pub async fn picture(&self, scale: f64) -> Result<Vec<u8>, ServerError> {
        let size = &self.call("Page.getLayoutMetrics", json!({})).await?["cssContentSize"];
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": scale });
        let how = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let answer = self.call("Page.captureScreenshot", how).await?;
        let picture = STANDARD.decode(answer["data"].as_str().unwrap_or_default());
        picture.map_err(|error| ServerError::new(format!("a picture: {error}")))
    }

    /// Waits until another page than the one `before` is here and loaded.
    async fn arrive(&self, before: usize) -> Result<(), ServerError> {
        let new = |method: &str, params: &Value| {
            (method == "Page.frameNavigated" && params["frame"]["id"] == *self.target).then_some(())
        };
        self.events.wait("another page", before, new).await?;
        let start = Instant::now();
        loop {
            match self.evaluate(LOADED).await {
                Ok(_) => return Ok(()),
                // The page before was still there, or the new one was not yet.
                Err(error) if is_between_pages(&error) && start.elapsed() < LIMIT => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value, ServerError> {
        self.pipe.call(Some(&self.session), method, params).await
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("session", &self.session).finish_non_exhaustive()
    }
}

fn is_between_pages(error: &ServerError) -> bool {
    let error = error.to_string();
    error.contains("context") || error.contains("navigated")
}

/// An expression for the first element that `selector` finds.
fn element(selector: &str) -> String {
    let selector = Value::from(selector);
    format!("(document.querySelector({selector}) ?? (() => {{ throw new Error('no ' + {selector}) }})())")
}
