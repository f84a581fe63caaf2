//! One file to send to a colleague: the page with its code, its fonts and a film inside. It asks nobody for anything.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::archive::Archive;
use crate::assets;

const FONTS: [&str; 2] = [
    "ibm-plex-sans-latin-400-normal.woff2",
    "ibm-plex-sans-latin-600-normal.woff2",
];

/// What stands there until the script runs, and stays if it cannot. The script comes before the film, so that it can say
/// what is wrong with one that was cut.
const OPENING: &str = "Opening the report. If this stays, the file was cut short or the browser is too old: copy it again, or take another one.";

impl Archive {
    /// The report: a whole page as HTML that opens without a server.
    pub fn report(&self) -> Vec<u8> {
        let (script, style) = (script(), style());
        let film = STANDARD.encode(self.film());
        let mut html = String::with_capacity(script.len() + style.len() + film.len() + 2_048);
        let policy = policy(&script, &style);
        let title = escaped(&self.row(0).name);
        write!(
            html,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\" />\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n\
             <meta name=\"color-scheme\" content=\"light dark\" />\n\
             <link rel=\"icon\" href=\"data:,\" />\n\
             <title>{title} · Graticule</title>\n<style>{style}</style>\n</head>\n<body>\n\
             <div id=\"app\"><p>{OPENING}</p></div>\n\
             <noscript>This report draws what is in it, and needs JavaScript for that.</noscript>\n\
             <script type=\"module\">{script}</script>\n\
             <script type=\"application/octet-stream\" id=\"film\">{film}</script>\n</body>\n</html>\n"
        )
        .expect("memory takes all that is written");
        html.into_bytes()
    }
}

/// What a report may do: run its own script and style, which are told by their digests, and nothing else.
fn policy(script: &str, style: &str) -> String {
    let digest = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; font-src data:; img-src data:; \
         base-uri 'none'; form-action 'none'",
        digest(script),
        digest(style)
    )
}

fn text_of(path: &str) -> &'static str {
    let asset = assets::find(path).expect("the page is part of the binary");
    std::str::from_utf8(&asset.content).expect("scripts and styles are text")
}

/// The page's script; nothing in it may end the element that it stands in.
fn script() -> String {
    assets::REPORT_SCRIPT
        .replace("</script", "<\\/script")
        .replace("<!--", "<\\!--")
}

fn style() -> String {
    let mut style = text_of("assets/app.css").to_owned();
    for name in FONTS {
        let font = assets::find(&format!("assets/{name}")).expect("the fonts are part of the binary");
        let data = format!("data:font/woff2;base64,{}", STANDARD.encode(&*font.content));
        style = style.replace(&format!("./{name}"), &data);
    }
    style.replace("</style", "<\\/style")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
