//! The mesh authority and the key service (privatemode.md 3.6, 4.2).

use super::*;

/// Authorities that the hardware vouches for, and that are none.
#[test]
fn mesh_authorities() {
    let deployment = Deployment::snp(&mut random(), NOW);
    let genuine = &deployment.mesh.mesh_ca;
    let issue = |change: &dyn Fn(&mut Certified)| {
        let mut authority = genuine.clone();
        change(&mut authority);
        pem("CERTIFICATE", &authority.spec.sign(&authority.key))
    };
    let p256 = EcKey::p256(&mut random());
    let cases: &[(&str, String, bool)] = &[
        ("as it is", issue(&|_| {}), true),
        ("followed by another", format!("{}{}", issue(&|_| {}), deployment.mesh.root_pem()), true),
        (
            "P-256",
            issue(&|a| {
                a.spec.spki = p256.spki();
                a.key = p256.clone();
            }),
            true,
        ),
        ("expired", issue(&|a| a.spec.not_after = NOW - 1), false),
        ("early", issue(&|a| a.spec.not_before = NOW + 1), false),
        ("no authority", issue(&|a| a.spec.extensions[0] = Extension::basic_constraints(false, None)), false),
        ("may not issue", issue(&|a| a.spec.extensions[1] = Extension::key_usage_leaf(false)), false),
        ("signed by another key", issue(&|a| a.key = deployment.mesh.root.key.clone()), false),
        ("issued by the root", issue(&|a| a.spec.issuer = deployment.mesh.root.spec.subject.clone()), false),
        ("a workload", pem("CERTIFICATE", &deployment.worker.der), false),
    ];
    for (name, mesh_ca, accepted) in cases {
        let document = DocumentSpec { mesh_ca: mesh_ca.clone(), ..deployment.document(&NONCE) };
        let verdict = judge(&deployment, &document);
        match accepted {
            true => assert!(verdict.is_ok(), "{name}: {verdict:?}"),
            false => assert_eq!(verdict.unwrap_err().code(), Code::MeshCa, "{name}"),
        }
    }
    // What it rests on ends with the authority, if that ends first.
    let soon = issue(&|a| a.spec.not_after = NOW + 5);
    let document = DocumentSpec { mesh_ca: soon, ..deployment.document(&NONCE) };
    assert_eq!(judge(&deployment, &document).unwrap().not_after, NOW + 5);
}

/// T04, T05: who may answer a key exchange.
#[test]
fn t05_key_services() {
    let deployment = Deployment::snp(&mut random(), NOW);
    let claims = judge(&deployment, &deployment.document(&NONCE)).unwrap();
    let (public_key, encapsulated_key) = (vec![1; 1216], vec![2; 1120]);
    let service = &deployment.secret_service;
    let answer = |certified: &Certified| SecretAnswer {
        signature: sign_exchange(&certified.key, &public_key, &encapsulated_key),
        encapsulated_key: encapsulated_key.clone(),
        certificate: certified.der.clone(),
    };
    let judge = |answer: &SecretAnswer, names: &SecretServiceNames| {
        verify_secret_answer(&public_key, answer, &claims, names, NOW).map_err(|error| error.code())
    };
    let manifest = SecretServiceNames::default();
    let dns = SecretServiceNames::Dns("secret.privatemode.ai".into());
    let found = judge(&answer(service), &manifest).unwrap();
    assert_eq!(
        (found.not_after, &found.names),
        (service.spec.not_after, &deployment.manifest.policies[1].names)
    );
    assert_eq!(judge(&answer(service), &dns), Ok(found));
    // Any workload has a certificate of the authority; only the key service has these names.
    assert_eq!(judge(&answer(&deployment.worker), &manifest), Err(Code::MeshCertificate));
    assert_eq!(judge(&answer(&deployment.worker), &dns), Err(Code::MeshCertificate));

    let names = deployment.manifest.policies[1].names.clone();
    let issue = |change: &dyn Fn(&mut Certified)| {
        let mut leaf = service.clone();
        change(&mut leaf);
        leaf.der = leaf.spec.sign(&deployment.mesh.mesh_ca.key);
        leaf
    };
    let without = |place: usize| issue(&|leaf| drop(leaf.spec.extensions.remove(place)));
    let with_names = |names: &[String]| issue(&|leaf| leaf.spec.extensions[2] = dns_names(names));
    let mut reversed = names.clone();
    reversed.reverse();
    let p256 = EcKey::p256(&mut random());
    let cases: &[(&str, Certified, bool)] = &[
        (
            "P-256",
            issue(&|leaf| {
                leaf.spec.spki = p256.spki();
                leaf.key = p256.clone();
            }),
            true,
        ),
        ("names in another order", with_names(&reversed), true),
        ("without extended usage", without(3), true),
        ("one name less", with_names(&names[1..]), false),
        ("one name more", with_names(&[names.clone(), vec!["more".into()]].concat()), false),
        ("no names", without(2), false),
        (
            "another common name",
            issue(&|leaf| leaf.spec.subject = deployment.worker.spec.subject.clone()),
            false,
        ),
        ("for clients only", issue(&|leaf| leaf.spec.extensions[3] = extended_usage(false)), false),
        (
            "an authority",
            issue(&|leaf| leaf.spec.extensions[0] = Extension::basic_constraints(true, None)),
            false,
        ),
        ("expired", issue(&|leaf| leaf.spec.not_after = NOW - 1), false),
        ("early", issue(&|leaf| leaf.spec.not_before = NOW + 1), false),
        ("the authority itself", deployment.mesh.mesh_ca.clone(), false),
        (
            "of the root",
            {
                let mut leaf = service.clone();
                leaf.der = leaf.spec.sign(&deployment.mesh.root.key);
                leaf
            },
            false,
        ),
    ];
    for (name, leaf, accepted) in cases {
        let expected = if *accepted { None } else { Some(Code::MeshCertificate) };
        assert_eq!(judge(&answer(leaf), &manifest).err(), expected, "{name}");
    }
    // Signatures by another key, over other bytes, in another form.
    let honest = answer(service);
    let other = sign_exchange(&deployment.worker.key, &public_key, &encapsulated_key);
    let swapped = sign_exchange(&service.key, &encapsulated_key, &public_key);
    for signature in [other, swapped, Vec::new(), [honest.signature.clone(), vec![0]].concat()] {
        let answer = SecretAnswer { signature, ..honest.clone() };
        assert_eq!(judge(&answer, &manifest), Err(Code::SecretSignature));
    }
    let short = SecretAnswer { encapsulated_key: vec![2; 1119], ..honest };
    assert_eq!(judge(&short, &manifest), Err(Code::MalformedResponse));
}
