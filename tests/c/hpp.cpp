// The C++ wrapper: owners free once, errors carry code and hint, nothing stays behind.
#include "proveil.hpp"

#include <cstdio>
#include <type_traits>
#include <utility>

static int failed = 0;
#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            ++failed;                                                                \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);     \
        }                                                                            \
    } while (0)

// A proof cannot be made or copied by hand.
static_assert(!std::is_default_constructible_v<proveil::Endpoint>);
static_assert(!std::is_constructible_v<proveil::Endpoint, pv_endpoint *>);
static_assert(!std::is_copy_constructible_v<proveil::Endpoint>);
static_assert(std::is_move_constructible_v<proveil::Endpoint>);
static_assert(!std::is_copy_constructible_v<proveil::Stream>);

static void policies() {
    auto policy = proveil::Policy::standard();
    const auto again = proveil::Policy::from_json(policy.to_json());
    CHECK(policy.sha256() == again.sha256() && policy.name() == "standard");
    CHECK(policy.sha256() != proveil::Policy::strict().sha256());
    const auto moved = std::move(policy);
    CHECK(moved.name() == "standard" && pv_live_handles() == 2);
}

static void errors() {
    try {
        proveil::Policy::from_json(R"({"schema":"proveil.policy/v1","max_age_s":0})");
        CHECK(false);
    } catch (const proveil::Error &error) {
        CHECK(error.number() == PV_ERR_POLICY_INVALID && error.code() == "PV-131" && error.slug() == "policy_invalid");
        CHECK(error.family() == PV_CLASS_CONFIG && !error.retryable() && !error.hint().empty());
        CHECK(error.check() == "max_age_s" && error.found() == "0" && !error.report_json());
        CHECK(!std::string(error.what()).empty() && error.events().empty());
    }
    try {
        proveil::Client client({"venise", "key"});
        CHECK(false);
    } catch (const proveil::Error &error) {
        CHECK(error.code() == "PV-104" && std::string(error.what()).find("venice") != std::string::npos);
    }
    for (const auto member : {&proveil::ClientOptions::connect_timeout_s, &proveil::ClientOptions::first_byte_timeout_s,
                              &proveil::ClientOptions::idle_timeout_s, &proveil::ClientOptions::verification_timeout_s}) {
        proveil::ClientOptions options{"venice", "key"};
        options.*member = 24 * 60 * 60;
        proveil::Client longest(options);
        try {
            options.*member += 1;
            proveil::Client client(options);
            CHECK(false);
        } catch (const proveil::Error &error) {
            CHECK(error.code() == "PV-130");
        }
    }
}

static void fields() {
    const std::string point(
        "\x04\x79\xbe\x66\x7e\xf9\xdc\xbb\xac\x55\xa0\x62\x95\xce\x87\x0b\x07\x02\x9b\xfc\xdb\x2d\xce\x28\xd9\x59\xf2"
        "\x81\x5b\x16\xf8\x17\x98\x48\x3a\xda\x77\x26\xa3\xc4\x65\x5d\xa4\xfb\xfc\x0e\x11\x08\xa8\xfd\x17\xb4\x48\xa6"
        "\x85\x54\x19\x9c\x47\xd0\x8f\xfb\x10\xd4\xb8",
        65);
    const std::string one = std::string(31, '\0') + '\1';
    const auto field = proveil::seal_field(point, "caf\xc3\xa9");
    CHECK(proveil::open_field(one, field) == "caf\xc3\xa9");

    auto opener = proveil::Opener::for_key(one);
    opener.head(200, {{"content-type", "text/event-stream"}});
    const auto chunk = [](const std::string &content) {
        return "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" +
               content + "\"},\"finish_reason\":null}]}\n\n";
    };
    const auto events = opener.push(chunk(field));
    CHECK(events.size() == 1 && events[0].kind == proveil::EventKind::content && events[0].text == "caf\xc3\xa9");
    try {
        opener.push(chunk(proveil::seal_field(point, "last")) + chunk("in clear"));
        CHECK(false);
    } catch (const proveil::Error &error) {
        CHECK(error.slug() == "plaintext_downgrade" || error.slug() == "not_ciphertext");
        CHECK(error.events().size() == 1 && error.events()[0].text == "last");
    }
}

static void evidence() {
    proveil::EvidenceInput input;
    input.provider = "venice";
    input.response = "{}";
    input.nonce = std::string(32, 'n');
    input.at_unix_s = 1781056027;
    const auto report = proveil::verify_evidence(input);
    CHECK(report.verdict() == proveil::Verdict::refused && report.level() == PV_LEVEL_NONE && report.code());
    CHECK(report.to_text().find(report.headline().substr(0, 20)) == 0);
    CHECK(report.to_html().find("<!DOCTYPE html>") == 0 && report.to_svg().find("<svg ") == 0);
    CHECK(report.to_ear_json().find("\"ear_status\":\"contraindicated\"") != std::string::npos);
}

int main() {
    CHECK(proveil::version() == PV_VERSION);
    policies();
    errors();
    fields();
    evidence();
    { const proveil::Cancel cancel; cancel.trigger(); }
    CHECK(pv_live_handles() == 0);
    return failed == 0 ? 0 : 1;
}
