//! Whole bodies and streams (protocols/privatemode.md 6).

use super::super::answer::{AnswerPart, open_document};
use super::super::chunk::Output;
use super::super::plain::{Direction, check_clear_request, plain_members};
use super::super::plan::{Content, FileNames, MessageSize, PlanOptions, RequestPlan, plan};
use super::super::stream::AnswerOpener;
use super::seal::cipher;
use super::{Given, endpoint, request};
use crate::endpoint::Event;
use crate::error::{Code, Error, Result};
use crate::http::ResponseHead;
use crate::openai::ApiEndpoint;
use crate::openai::forms::Form;
use crate::openai::select::{BodyError, Document};
use crate::provider::inspect_input::{Input, Members, hex_member, member, text_or_null, value_member};
use crate::seal::MessageCipher;
use crate::wire::json::Json;

/// Stands for the random bytes of a form's boundary: what is sealed here is compared, not sent.
const BOUNDARY_BYTES: [u8; 24] = [0; 24];

fn ivs(input: &Input<'_>) -> Result<Vec<u8>> {
    Ok(input.bytes_list("ivs")?.concat())
}

fn names(names: &[&str]) -> Json {
    Json::Array(names.iter().map(|name| Json::String((*name).to_owned())).collect())
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::new(Code::Internal))
}

pub(super) fn json_body(input: &Input<'_>) -> Result<Members> {
    let (endpoint, body) = (endpoint(input)?, input.text("body")?);
    let part = match input.text("part")? {
        "request" => return seal_json(input, &endpoint, body),
        "answer" => AnswerPart::Whole,
        "failure" => AnswerPart::Failure,
        "event" => AnswerPart::Event,
        other => {
            return Err(Error::new(Code::InvalidArgument)
                .at("part")
                .expected("request, answer, failure or event")
                .found(other));
        }
    };
    let mut cipher = cipher(input)?;
    let size = MessageSize { id_bytes: cipher.secret_id().len() };
    let opened =
        open_document(body, &endpoint, part, size, |raw, out| cipher.open_into(raw.as_bytes(), out))?;
    let document = Document::parse(body).map_err(BodyError::in_answer)?;
    let plain = plain_members(&endpoint, Direction::Response).unwrap_or_default();
    Ok(vec![
        member("body", opened.text()),
        value_member("sealed", names(&document.selected_names(plain))),
        value_member("clear", names(&opened.clear_members().collect::<Vec<_>>())),
    ])
}

/// A request as a plan seals it, without the salt that a plan adds; on demand without what it is refused for.
fn seal_json(input: &Input<'_>, endpoint: &ApiEndpoint, body: &str) -> Result<Members> {
    let Some(plain) = plain_members(endpoint, Direction::Request) else {
        return Err(Error::new(Code::OutOfOrder).at(endpoint.path()));
    };
    let document = Document::parse(body).map_err(BodyError::in_request)?;
    if !input.has("checks") || input.flag("checks")? {
        check_clear_request(&document, endpoint)?;
        request::check_media_of(&document, endpoint)?;
    }
    let mut cipher = cipher(input)?;
    let (size, ivs) = (MessageSize { id_bytes: cipher.secret_id().len() }, ivs(input)?);
    let (mut random, mut out) = (Given(&ivs), Vec::new());
    let replace = |_: &str, raw: &str, out: &mut Vec<u8>| cipher.seal_into(raw.as_bytes(), &mut random, out);
    document.rewrite(plain, |bytes| size.sealed(bytes), replace, &mut out)?;
    let sealed = document.selected_names(plain);
    let clear: Vec<&str> = document.names().filter(|name| !sealed.contains(name)).collect();
    Ok(vec![
        member("body", text(out)?),
        value_member("sealed", names(&sealed)),
        value_member("clear", names(&clear)),
    ])
}

/// The sealed body of a plan under the caller's key.
fn write(input: &Input<'_>, plan: &RequestPlan<'_>) -> Result<Vec<u8>> {
    let (mut cipher, ivs) = (cipher(input)?, ivs(input)?);
    let (size, mut random) = (MessageSize { id_bytes: cipher.secret_id().len() }, Given(&ivs));
    plan.write(size, |plaintext, out| cipher.seal_into(plaintext, &mut random, out))
}

pub(super) fn form_body(input: &Input<'_>) -> Result<Members> {
    let file_names = match input.optional_text("file_names")?.unwrap_or("part_and_extension") {
        "part_and_extension" => FileNames::PartAndExtension,
        "part" => FileNames::Part,
        "kept" => FileNames::Kept,
        other => {
            return Err(Error::new(Code::InvalidArgument)
                .at("file_names")
                .expected("part_and_extension, part or kept")
                .found(other));
        }
    };
    let given = input.objects("parts")?;
    let datas: Vec<Vec<u8>> = given.iter().map(|part| part.bytes("data")).collect::<Result<_>>()?;
    let mut form = Form::new();
    for (part, data) in given.iter().zip(&datas) {
        match part.optional_text("filename")? {
            Some(file) => form.file(part.text("name")?, file, data)?,
            None => form.value(part.text("name")?, data)?,
        }
    }
    let options = PlanOptions { file_names, ..PlanOptions::default() };
    let plan = plan(ApiEndpoint::Transcriptions, Content::Form(form), &options, &mut Given(&BOUNDARY_BYTES))?;
    let body = write(input, &plan)?;
    let content_type = plan.content_type().unwrap_or_default();
    let plain = plain_members(&ApiEndpoint::Transcriptions, Direction::Request).unwrap_or_default();
    let written = Form::parse(content_type, &body)?;
    let parts = written.parts().iter().map(|part| {
        let sealed = part.file.is_some() || !plain.contains(&part.name.as_ref());
        Json::Object(vec![
            member("name", part.name.as_ref()),
            value_member("filename", text_or_null(part.file.as_deref())),
            value_member("sealed", Json::Bool(sealed)),
            hex_member("data", part.data),
        ])
    });
    Ok(vec![
        value_member("parts", Json::Array(parts.collect())),
        member("content_type", content_type),
        hex_member("body", &body),
    ])
}

pub(super) fn raw_body(input: &Input<'_>) -> Result<Members> {
    let body = input.bytes("body")?;
    let content = Content::Raw { content_type: input.text("content_type")?, body: &body };
    let plan = plan(endpoint(input)?, content, &PlanOptions::default(), &mut Given(&[]))?;
    Ok(vec![
        member("body", text(write(input, &plan)?)?),
        member("content_type", plan.content_type().unwrap_or_default()),
    ])
}

pub(super) fn stream(input: &Input<'_>) -> Result<Members> {
    let status = u16::try_from(input.number("status")?)
        .map_err(|_| Error::new(Code::InvalidArgument).at("status").expected("a status code"))?;
    let mut headers = Vec::new();
    for (name, value) in input.members("headers")? {
        let value = value.as_str().ok_or_else(|| Error::new(Code::InvalidArgument).at("headers"))?;
        headers.push((name.clone(), value.to_owned()));
    }
    let model = input.optional_text("model")?.map(str::to_owned);
    let mut opener = AnswerOpener::new(cipher(input)?, endpoint(input)?, Output::Documents, model, [0; 32]);
    let mut events = Vec::new();
    let wire = input.text("wire")?;
    opener.head(&ResponseHead::new(status, headers))?;
    opener.push(wire.as_bytes(), &mut events)?;
    let receipt = opener.finish(&mut events)?;
    let events = events.into_iter().filter_map(|event| match event {
        Event::Document { name, json } => Some(Json::Array(vec![Json::String(name), Json::String(json)])),
        _ => None,
    });
    Ok(vec![
        value_member("events", Json::Array(events.collect())),
        value_member("id", text_or_null(receipt.id)),
        value_member("sealed_fields", Json::Number(receipt.sealed_fields.into())),
        value_member("body_bytes", Json::Number(receipt.body_bytes.into())),
        value_member("ignored_bytes", Json::Number(receipt.ignored_bytes.into())),
    ])
}
