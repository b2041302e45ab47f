//! TLS: with an authority of one's own, and refused where it does not prove who the server is.

use std::sync::OnceLock;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use steadfast::ErrorKind;
use steadfast::store::Tls;
use steadfast_servers::{MariaDb, Options, Server as _};
use tempfile::TempDir;

use super::fixture::{Server, check, create, found, key, made, record, shared};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A server with a certificate for 127.0.0.1, and the files that a client may need.
struct Secured {
    server: MariaDb,
    files: TempDir,
}

fn secured() -> &'static Secured {
    static SECURED: OnceLock<Secured> = OnceLock::new();
    SECURED.get_or_init(|| {
        let (ours, theirs) = (authority("ours"), authority("theirs"));
        let (certificate, key) = issued(&ours, "127.0.0.1");
        let options = Options::new()
            .file("ca.pem", ours.pem())
            .file("cert.pem", certificate)
            .file("key.pem", key)
            .set("ssl_ca={folder}/ca.pem")
            .set("ssl_cert={folder}/cert.pem")
            .set("ssl_key={folder}/key.pem");
        let server = MariaDb::start_with(&options).unwrap();
        let files = tempfile::tempdir().unwrap();
        let write = |name: &str, pem: String| std::fs::write(files.path().join(name), pem).unwrap();
        write("ours.pem", ours.pem());
        write("theirs.pem", theirs.pem());
        write("empty.pem", "no certificate".to_owned());
        Secured { server, files }
    })
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Returns a certificate for a name, and its key.
fn issued(authority: &Authority, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

impl Secured {
    fn at(&self) -> Server {
        Server::at(&self.server.dsn())
    }

    fn trusting(&self, file: &str) -> Tls {
        Tls::PrivateCa(self.files.path().join(file))
    }
}

#[tokio::test]
async fn a_server_that_proves_who_it_is_is_trusted() {
    let secured = secured();
    let server = secured.at();
    server.run("CREATE USER IF NOT EXISTS tls@'127.0.0.1' IDENTIFIED BY 'not-so-secret' REQUIRE SSL").await;
    server.run("GRANT ALL ON steadfast.* TO tls@'127.0.0.1'").await;
    let plain = server.options().user("tls");
    check(&plain.create().await.unwrap_err(), ErrorKind::InvalidConfig, "access denied");
    let store = made(plain.tls(secured.trusting("ours.pem"))).await;
    create(&store, &key(1), &record("one")).await;
    found(&store, &key(1)).await;
}

#[tokio::test]
async fn a_server_that_does_not_is_refused() {
    let secured = secured();
    let options = || secured.at().options();
    for options in [
        options().tls(secured.trusting("theirs.pem")),
        // Those that browsers trust did not sign it.
        options().tls(Tls::PublicCa),
        // The certificate is for the address.
        options().host("localhost").tls(secured.trusting("ours.pem")),
    ] {
        let error = options.create().await.unwrap_err();
        check(&error, ErrorKind::InvalidConfig, "check the certificates");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let options = shared().options().tls(secured().trusting("ours.pem"));
    check(&options.create().await.unwrap_err(), ErrorKind::InvalidConfig, "does not speak TLS");
}

#[tokio::test]
async fn a_file_that_can_t_be_used_is_told_at_start() {
    for file in ["nowhere.pem", "empty.pem"] {
        let options = secured().at().options().tls(secured().trusting(file));
        check(&options.open().await.unwrap_err(), ErrorKind::InvalidConfig, "the file of `tls_ca`");
    }
}
