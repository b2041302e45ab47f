//! TLS: with an authority of one's own, and refused where it does not prove who the server is.

use std::sync::OnceLock;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use steadfast::ErrorKind;
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
        let (certificate, key) = issued(&ours, "app");
        write("app.pem", certificate);
        write("app.key", key);
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
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

impl Secured {
    fn at(&self) -> Server {
        Server::at(&self.server.dsn())
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.files.path().join(name)
    }
}

#[tokio::test]
async fn a_server_that_proves_who_it_is_is_trusted() {
    let secured = secured();
    let server = secured.at();
    server.run("CREATE USER IF NOT EXISTS tls@'127.0.0.1' IDENTIFIED BY 'not-so-secret' REQUIRE SSL").await;
    server.run("GRANT ALL ON steadfast.* TO tls@'127.0.0.1'").await;
    let plain = server.options().user("tls");
    check(&plain.create_tables().await.unwrap_err(), ErrorKind::InvalidConfig, "access denied");
    let store = made(plain.tls_ca(secured.file("ours.pem"))).await;
    create(&store, &key(1), &record("one")).await;
    found(&store, &key(1)).await;
}

#[tokio::test]
async fn a_server_that_does_not_is_refused() {
    let secured = secured();
    let options = || secured.at().options();
    for options in [
        options().tls_ca(secured.file("theirs.pem")),
        // Those that browsers trust did not sign it.
        options().tls(),
        // The certificate is for the address.
        options().host("localhost").tls_ca(secured.file("ours.pem")),
    ] {
        let error = options.create_tables().await.unwrap_err();
        check(&error, ErrorKind::InvalidConfig, "check the certificates");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let options = shared().options().tls_ca(secured().file("ours.pem"));
    check(&options.create_tables().await.unwrap_err(), ErrorKind::InvalidConfig, "does not speak TLS");
}

#[tokio::test]
async fn a_certificate_of_its_own_is_shown() {
    let secured = secured();
    let server = secured.at();
    server
        .run("CREATE USER IF NOT EXISTS shown@'127.0.0.1' IDENTIFIED BY 'not-so-secret' REQUIRE X509")
        .await;
    server.run("GRANT ALL ON steadfast.* TO shown@'127.0.0.1'").await;
    let options = server.options().user("shown").tls_ca(secured.file("ours.pem"));
    let error = options.create_tables().await.unwrap_err();
    check(&error, ErrorKind::InvalidConfig, "access denied");
    let store = made(options.tls_identity(secured.file("app.pem"), secured.file("app.key"))).await;
    create(&store, &key(1), &record("one")).await;
}

#[tokio::test]
async fn files_that_can_t_be_used_are_told_at_start() {
    let secured = secured();
    let options = || secured.at().options();
    let ours = secured.file("ours.pem");
    for (options, says) in [
        (options().tls_ca(secured.file("nowhere.pem")), "cannot read the authorities' file"),
        (options().tls_ca(secured.file("empty.pem")), "no certificate in PEM form"),
        (
            options().tls_ca(&ours).tls_identity(secured.file("empty.pem"), &ours),
            "no certificate in PEM form",
        ),
        (
            options().tls_ca(&ours).tls_identity(&ours, secured.file("nowhere.key")),
            "cannot read the key's file",
        ),
    ] {
        check(&options.connect().await.unwrap_err(), ErrorKind::InvalidConfig, says);
    }
}
