//! As much of HTTP/1.1 as the load and the browsers need: a request, and a response that tells its length.

use crate::Result;

/// Writes a request.
pub(crate) fn request(path: &str, cookies: &str) -> Vec<u8> {
    let cookies = if cookies.is_empty() { String::new() } else { format!("cookie: {cookies}\r\n") };
    format!(
        "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
         accept: */*\r\n{cookies}\r\n"
    )
    .into_bytes()
}

/// A response that has arrived.
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    head: &'a str,
    pub(crate) body: &'a str,
}

impl<'a> Response<'a> {
    /// Reads a response, once all of it is there.
    pub(crate) fn parse(arrived: &'a [u8]) -> Result<Option<Self>> {
        let text = std::str::from_utf8(arrived)?;
        let Some((head, rest)) = text.split_once("\r\n\r\n") else { return Ok(None) };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut response = Self { status: status.ok_or("no status in a response")?, head, body: rest };
        let length = match response.headers("content-length").next() {
            Some(length) => length.parse()?,
            None if response.headers("transfer-encoding").next().is_some() => {
                return Err("a response of unknown length".into());
            }
            None => 0,
        };
        let Some(body) = rest.get(..length) else { return Ok(None) };
        response.body = body;
        Ok(Some(response))
    }

    fn headers(&self, name: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.head.split("\r\n").skip(1).filter_map(move |line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Returns the cookies that it sets or removes, a removed one without a value.
    pub(crate) fn cookies(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.headers("set-cookie").filter_map(|line| {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=')?;
            let removed =
                attributes.split(';').any(|attribute| attribute.trim().eq_ignore_ascii_case("max-age=0"));
            Some((name, if removed { "" } else { value }))
        })
    }
}

/// The cookies of one browser.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Cookies(Vec<(String, String)>);

impl Cookies {
    /// Takes what a response sets, and drops what it removes.
    pub(crate) fn take(&mut self, response: &Response<'_>) {
        for (name, value) in response.cookies() {
            self.0.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value of the header.
    pub(crate) fn line(&self) -> String {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_read_once_it_is_whole() {
        let whole = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nset-cookie: b=gone; Max-Age=0\r\nContent-Length: 2\r\n\r\nokHTTP";
        assert!(Response::parse(&whole[..whole.len() - 5]).unwrap().is_none());
        let response = Response::parse(whole).unwrap().unwrap();
        assert_eq!((response.status, response.body), (200, "ok"));
        let mut cookies = Cookies(vec![("b".to_owned(), "2".to_owned())]);
        cookies.take(&response);
        assert_eq!(cookies.line(), "a=1");
    }
}
