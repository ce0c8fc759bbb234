//! As much of HTTP/1.1 as `GET /metrics` needs: one request a connection, read strictly, bounded in
//! bytes, time and number.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Server;

/// Largest request, bytes: what a scraper sends has some 300.
const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// From a connection to the end of its answer.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Scrapers at once.
const SCRAPERS_MAX: usize = 8;
/// After a connection that could not be accepted, as without descriptors.
const PAUSE: Duration = Duration::from_millis(200);

const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a request comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Fine,
    Bad,
    NotFound,
    Method,
    Large,
    Version,
}

impl Status {
    const fn line(self) -> &'static str {
        match self {
            Self::Fine => "200 OK",
            Self::Bad => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::Method => "405 Method Not Allowed",
            Self::Large => "431 Request Header Fields Too Large",
            Self::Version => "505 HTTP Version Not Supported",
        }
    }
}

/// Judges a whole head, up to the empty line that ends it.
fn judge(head: &[u8]) -> Status {
    let Ok(text) = std::str::from_utf8(head) else { return Status::Bad };
    let mut lines = text.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = words.as_slice() else { return Status::Bad };
    let mut hosts = 0;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { return Status::Bad };
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            return Status::Bad;
        }
        if value.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            return Status::Bad;
        }
        match name.to_ascii_lowercase().as_str() {
            "host" => hosts += 1,
            // A request with a body asks for something else.
            "content-length" if value.trim() != "0" => return Status::Bad,
            "transfer-encoding" => return Status::Bad,
            _ => {}
        }
    }
    match (*version, hosts) {
        ("HTTP/1.1", 1) | ("HTTP/1.0", 0 | 1) => {}
        ("HTTP/1.1" | "HTTP/1.0", _) => return Status::Bad,
        _ => return Status::Version,
    }
    match (*method, *target) {
        ("GET", "/metrics") => Status::Fine,
        (_, "/metrics") => Status::Method,
        _ => Status::NotFound,
    }
}

/// Reads a head; `None` where nobody waits for an answer.
async fn head(stream: &mut TcpStream) -> Option<Status> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            // Something behind the head is a second request or a body: neither is taken.
            let whole = bytes.len() == end + 4;
            return Some(if whole { judge(bytes.get(..end)?) } else { Status::Bad });
        }
        if bytes.len() >= REQUEST_BYTES_MAX {
            return Some(Status::Large);
        }
        let mut piece = [0u8; 1024];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(piece.get(..read)?),
        }
    }
}

async fn answer(server: Arc<Server>, mut stream: TcpStream) {
    let Some(status) = head(&mut stream).await else { return };
    let body = if status == Status::Fine {
        let numbers = tokio::task::spawn_blocking(move || server.numbers()).await;
        numbers.map(|numbers| numbers.text()).unwrap_or_default()
    } else {
        format!("{}\n", status.line())
    };
    let kind = if status == Status::Fine { TYPE } else { "text/plain; charset=utf-8" };
    let allow = if status == Status::Method { "Allow: GET\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}Connection: close\r\n\r\n",
        status.line(),
        body.len()
    );
    // Whoever has left reads nothing.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
    let _ = stream.shutdown().await;
}

impl Server {
    /// Answers `GET /metrics` for as long as it is polled.
    pub async fn metrics(self: Arc<Self>, listener: TcpListener) {
        let mut scrapers = JoinSet::new();
        loop {
            tokio::select! {
                came = listener.accept(), if scrapers.len() < SCRAPERS_MAX => match came {
                    Ok((stream, _)) => {
                        let answered = timeout(TIME_MAX, answer(Arc::clone(&self), stream));
                        scrapers.spawn(async move { drop(answered.await) });
                    }
                    Err(_) => sleep(PAUSE).await,
                },
                Some(_) = scrapers.join_next(), if !scrapers.is_empty() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::double::{Quirk, house, now};

    async fn says(address: std::net::SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A request that is too long is answered before it was read: the rest is reset.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn a_scraper_gets_numbers_and_no_names_and_whoever_dawdles_holds_nobody_up() {
        let (house, _machine) = house(Quirk::None);
        let desk = crate::org::Desk::open(house.desk.home.clone()).unwrap();
        let server = Server::new(desk, Vec::new(), now, |_| ()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scraped = async {
            // All but one place are taken by people who say nothing.
            let mut silent = Vec::new();
            for _ in 1..SCRAPERS_MAX {
                silent.push(TcpStream::connect(address).await.unwrap());
            }
            let good = says(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
            let (head, body) = good.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(head.contains(&format!("Content-Type: {TYPE}\r\n")), "{head}");
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
            assert!(body.ends_with("# EOF\n"), "{body}");
            assert!(body.contains("salve_catalogue_version{role=\"policy\"} 1\n"), "{body}");
            for name in ["lt-4411", "a.kaya", "demo", &house.row.id.to_string()] {
                assert!(!body.contains(name), "{name} in {body}");
            }
            let post = says(address, b"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
            assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("Allow: GET"), "{post}");
            let two = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n";
            assert!(says(address, two).await.starts_with("HTTP/1.1 400 "));
            let long = [b"GET /metrics HTTP/1.1\r\nX: ".as_slice(), &[b'x'; REQUEST_BYTES_MAX]];
            let long = &long.concat()[..REQUEST_BYTES_MAX];
            assert!(says(address, long).await.starts_with("HTTP/1.1 431 "));
            // One more who says nothing: then everybody waits, until the first one's time is over.
            silent.push(TcpStream::connect(address).await.unwrap());
            let late = says(address, b"GET /metrics HTTP/1.0\r\n\r\n").await;
            assert!(late.starts_with("HTTP/1.1 200 "), "{late}");
        };
        tokio::select! {
            () = server.metrics(listener) => {}
            () = scraped => {}
        }
    }

    #[test]
    fn a_request_is_read_strictly() {
        for (head, status) in [
            ("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*", Status::Fine),
            ("GET /metrics HTTP/1.0", Status::Fine),
            ("GET /metrics HTTP/1.1\r\nhost: x\r\nContent-Length: 0", Status::Fine),
            ("GET /metrics HTTP/1.1", Status::Bad),
            ("GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y", Status::Bad),
            ("GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 4", Status::Bad),
            ("GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked", Status::Bad),
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n folded", Status::Bad),
            ("GET /metrics HTTP/1.1\r\nHost : x", Status::Bad),
            ("GET /metrics HTTP/1.1\r\nHost: x\nEvil: y", Status::Bad),
            ("GET  /metrics HTTP/1.1\r\nHost: x", Status::Bad),
            ("GET /metrics", Status::Bad),
            ("", Status::Bad),
            ("GET /metrics HTTP/2.0\r\nHost: x", Status::Version),
            ("POST /metrics HTTP/1.1\r\nHost: x", Status::Method),
            ("GET /metrics?x HTTP/1.1\r\nHost: x", Status::NotFound),
            ("GET / HTTP/1.1\r\nHost: x", Status::NotFound),
        ] {
            assert_eq!(judge(head.as_bytes()), status, "{head:?}");
        }
        assert_eq!(judge(b"GET /\xff HTTP/1.1\r\nHost: x"), Status::Bad);
    }
}
