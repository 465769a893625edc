// Proveil for C++17: owners and exceptions over proveil.h, header-only. Link with libproveil.
//
//     proveil::Client client({"venice", key});
//     for (auto stream = client.chat(body); auto event = stream.next();) std::cout << event->text;
//
// Objects own their handle, move and do not copy; every failure is a proveil::Error that carries number, code, hint and, after a
// refusal, the report. Thread rules are those of proveil.h. Texts are UTF-8.

#ifndef PROVEIL_HPP
#define PROVEIL_HPP

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proveil.h"

namespace proveil {

enum class Verdict : int32_t {
    none = PV_VERDICT_NONE,
    verified = PV_VERDICT_VERIFIED,
    refused = PV_VERDICT_REFUSED,
    indeterminate = PV_VERDICT_INDETERMINATE,
};

enum class EventKind : int32_t {
    content = PV_EVENT_CONTENT,
    reasoning = PV_EVENT_REASONING,
    finish = PV_EVENT_FINISH,
    usage = PV_EVENT_USAGE,
    document = PV_EVENT_DOCUMENT, ///< an opened JSON document
};

enum class Signature : int32_t {
    body_matches = PV_SIGNATURE_BODY_MATCHES,
    signed_body_not_verifiable = PV_SIGNATURE_SIGNED_BODY_NOT_VERIFIABLE,
};

enum class TransportFailure : int32_t {
    connect = PV_TRANSPORT_FAILURE_CONNECT,
    timeout = PV_TRANSPORT_FAILURE_TIMEOUT,
    tls_rule = PV_TRANSPORT_FAILURE_TLS_RULE,
    too_large = PV_TRANSPORT_FAILURE_TOO_LARGE,
    broken = PV_TRANSPORT_FAILURE_BROKEN,
    cancelled = PV_TRANSPORT_FAILURE_CANCELLED,
};

/// One thing that an answer says. Only content and reasoning came out of sealed fields.
struct Event {
    EventKind kind;
    uint32_t choice;
    std::string text;
    std::string name = {}; ///< of a document that is the data of a named event of a stream (unauthenticated)
};

struct Header {
    std::string name;
    std::string value;
    bool sensitive = false;
};

namespace detail {

inline std::string text(const char *value) { return value == nullptr ? std::string() : std::string(value); }

inline std::optional<std::string> maybe(const char *value) {
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

inline pv_bytes bytes(std::string_view value) {
    return {reinterpret_cast<const uint8_t *>(value.data()), value.size()};
}

inline std::string_view view(pv_bytes value) { return {reinterpret_cast<const char *>(value.data), value.len}; }

inline const char *c_str(const std::optional<std::string> &value) { return value ? value->c_str() : nullptr; }

struct Free {
    void operator()(pv_error *handle) const { pv_error_free(handle); }
    void operator()(pv_evidence_bundle *handle) const { pv_evidence_bundle_free(handle); }
    void operator()(pv_policy *handle) const { pv_policy_free(handle); }
    void operator()(pv_trust_roots *handle) const { pv_trust_roots_free(handle); }
    void operator()(pv_report *handle) const { pv_report_free(handle); }
    void operator()(pv_http_request *handle) const { pv_http_request_free(handle); }
    void operator()(pv_exchange *handle) const { pv_exchange_free(handle); }
    void operator()(pv_endpoint *handle) const { pv_endpoint_free(handle); }
    void operator()(pv_sealed *handle) const { pv_sealed_free(handle); }
    void operator()(pv_opener *handle) const { pv_opener_free(handle); }
    void operator()(pv_events *handle) const { pv_events_free(handle); }
    void operator()(pv_receipt *handle) const { pv_receipt_free(handle); }
    void operator()(pv_client *handle) const { pv_client_free(handle); }
    void operator()(pv_stream *handle) const { pv_stream_free(handle); }
    void operator()(pv_cancel *handle) const { pv_cancel_free(handle); }
};

/// Owner of one handle.
template <typename T> class Owner {
  public:
    explicit Owner(T *handle) : handle_(handle) {}
    T *handle() const { return handle_.get(); }

  private:
    std::unique_ptr<T, Free> handle_;
};

} // namespace detail

/// What went wrong. what() is the message; match on number() or code(), never on text.
class Error : public std::runtime_error {
  public:
    Error(pv_status number, std::unique_ptr<pv_error, detail::Free> error, std::vector<Event> events = {})
        : std::runtime_error(detail::text(pv_error_message(error.get()))), number_(number),
          retryable_(pv_error_retryable(error.get()) != 0), code_(detail::text(pv_error_code(error.get()))),
          slug_(detail::text(pv_error_slug(error.get()))), hint_(detail::text(pv_error_hint(error.get()))),
          class_(pv_error_class(error.get())), check_(detail::maybe(pv_error_check(error.get()))),
          expected_(detail::maybe(pv_error_expected(error.get()))),
          found_(detail::maybe(pv_error_found(error.get()))),
          report_json_(detail::maybe(pv_error_report_json(error.get()))), events_(std::move(events)) {}

    pv_status number() const { return number_; }                 ///< PV_ERR_...
    const std::string &code() const { return code_; }            ///< "PV-205"
    const std::string &slug() const { return slug_; }            ///< "key_invalid"
    int32_t family() const { return class_; }                    ///< PV_CLASS_...
    const std::string &hint() const { return hint_; }            ///< what to do next
    bool retryable() const { return retryable_; }                ///< the same call may succeed later
    const std::optional<std::string> &check() const { return check_; }
    const std::optional<std::string> &expected() const { return expected_; }
    const std::optional<std::string> &found() const { return found_; }
    const std::optional<std::string> &report_json() const { return report_json_; }
    /// Valid events that came before the failure of Opener::push() or Opener::finish().
    const std::vector<Event> &events() const { return events_; }

  private:
    pv_status number_;
    bool retryable_;
    std::string code_, slug_, hint_;
    int32_t class_;
    std::optional<std::string> check_, expected_, found_, report_json_;
    std::vector<Event> events_;
};

namespace detail {

template <typename Call> void check(Call &&call) {
    pv_error *error = nullptr;
    const pv_status status = call(&error);
    if (status != PV_OK) throw Error(status, std::unique_ptr<pv_error, Free>(error));
}

/// The handle that `call` gives.
template <typename T, typename Call> T *made(Call &&call) {
    T *handle = nullptr;
    check([&](pv_error **error) { return call(&handle, error); });
    return handle;
}

/// The text in the buffer that `call` gives; the buffer is wiped.
template <typename Call> std::string buffer(Call &&call) {
    pv_buf buf = {nullptr, 0, nullptr};
    check([&](pv_error **error) { return call(&buf, error); });
    const std::unique_ptr<pv_buf, pv_status (*)(pv_buf *)> owner(&buf, pv_buf_free);
    return std::string(view({buf.data, buf.len}));
}

inline std::vector<Event> take(pv_events *handle) {
    const Owner<pv_events> events(handle);
    std::vector<Event> out;
    for (size_t i = 0; i < pv_events_count(handle); ++i) {
        int32_t kind = 0;
        uint32_t choice = 0;
        const char *text = nullptr;
        size_t length = 0;
        check([&](pv_error **error) { return pv_events_get(handle, i, &kind, &choice, &text, &length, error); });
        const char *name = nullptr;
        check([&](pv_error **error) { return pv_events_name(handle, i, &name, error); });
        out.push_back({static_cast<EventKind>(kind), choice, std::string(text, length), name});
    }
    return out;
}

inline std::vector<pv_header> borrowed(const std::vector<Header> &headers) {
    std::vector<pv_header> out;
    for (const Header &header : headers) out.push_back({header.name.c_str(), header.value.c_str()});
    return out;
}

} // namespace detail

inline std::string version() { return pv_version(); }

/// What must hold before anything is sent.
class Policy : public detail::Owner<pv_policy> {
  public:
    static Policy standard() { return preset("standard"); }
    static Policy strict() { return preset("strict"); }
    static Policy from_json(std::string_view json) {
        return Policy(detail::made<pv_policy>(
            [&](pv_policy **out, pv_error **error) { return pv_policy_from_json(detail::bytes(json), out, error); }));
    }
    std::string to_json() const { return detail::text(pv_policy_to_json(handle())); }
    std::string name() const { return detail::text(pv_policy_name(handle())); }
    std::string sha256() const { return detail::text(pv_policy_sha256(handle())); }

  private:
    explicit Policy(pv_policy *handle) : Owner(handle) {}
    static Policy preset(const char *name) {
        return Policy(detail::made<pv_policy>(
            [&](pv_policy **out, pv_error **error) { return pv_policy_preset(name, out, error); }));
    }
};

/// Whose signatures count, for labs and simulators; every report says so.
class TrustRoots : public detail::Owner<pv_trust_roots> {
  public:
    static TrustRoots from_json(std::string_view json) {
        return TrustRoots(detail::made<pv_trust_roots>([&](pv_trust_roots **out, pv_error **error) {
            return pv_trust_roots_from_json(detail::bytes(json), out, error);
        }));
    }

  private:
    friend class EvidenceBundle;
    explicit TrustRoots(pv_trust_roots *handle) : Owner(handle) {}
};

/// What an appraisal found.
class Report : public detail::Owner<pv_report> {
  public:
    using Owner::Owner;
    Verdict verdict() const { return static_cast<Verdict>(pv_report_verdict(handle())); }
    int32_t level() const { return pv_report_level(handle()); }
    std::string headline() const { return detail::text(pv_report_headline(handle())); }
    std::optional<std::string> code() const { return detail::maybe(pv_report_code(handle())); }
    std::string provider() const { return detail::text(pv_report_provider(handle())); }
    std::string model() const { return detail::text(pv_report_model(handle())); }
    std::string to_json() const { return detail::text(pv_report_json(handle())); }
    std::string to_text() const { return detail::text(pv_report_text(handle())); }
    std::string to_html() const { return detail::text(pv_report_html(handle())); }
    std::string to_svg() const { return detail::text(pv_report_svg(handle())); }
    std::string to_ear_json() const { return detail::text(pv_report_ear_json(handle())); }
};

/// Captured evidence and the rules to judge it by.
struct EvidenceInput {
    std::string provider;
    std::string response;                 ///< as received
    std::string nonce;                    ///< 32 bytes
    std::vector<std::string> collateral;  ///< JSON documents
    uint64_t at_unix_s = PV_NOW;
    std::optional<std::string> model = std::nullopt;
    const Policy *policy = nullptr;
    const TrustRoots *trust_roots = nullptr;
};

/// Judges captured evidence offline; all three verdicts are a report.
inline Report verify_evidence(const EvidenceInput &input) {
    std::vector<pv_bytes> collateral;
    for (const std::string &document : input.collateral) collateral.push_back(detail::bytes(document));
    pv_evidence_input raw = {};
    raw.struct_size = sizeof raw;
    raw.provider = input.provider.c_str();
    raw.model = detail::c_str(input.model);
    raw.response = detail::bytes(input.response);
    raw.nonce = detail::bytes(input.nonce);
    raw.collateral = collateral.data();
    raw.collateral_count = collateral.size();
    raw.at_unix_s = input.at_unix_s;
    raw.policy = input.policy == nullptr ? nullptr : input.policy->handle();
    raw.trust_roots = input.trust_roots == nullptr ? nullptr : input.trust_roots->handle();
    return Report(detail::made<pv_report>(
        [&](pv_report **out, pv_error **error) { return pv_verify_evidence(&raw, out, error); }));
}

/// Bare hardware evidence and what is expected of it; an empty value expects nothing.
struct HardwareInput {
    std::vector<std::string> files;       ///< in any order, known by their content
    std::string report_data = {};         ///< snp: 64 bytes; tdx: the first 1 to 64
    std::string measurement = {};         ///< snp: 48 bytes
    std::string host_data = {};           ///< snp: 32 bytes
    std::string mr_td = {};               ///< tdx: 48 bytes, as all registers
    std::string mr_seam = {};
    std::string mr_config_id = {};
    std::string mr_owner = {};
    std::string mr_owner_config = {};
    std::string rtmr0 = {};
    std::string rtmr1 = {};
    std::string rtmr2 = {};
    std::string rtmr3 = {};
    uint64_t at_unix_s = PV_NOW;
    const Policy *policy = nullptr;
    const TrustRoots *trust_roots = nullptr;
};

/// Everything that an appraisal used: judged again it gives the same report, without network.
class EvidenceBundle : public detail::Owner<pv_evidence_bundle> {
  public:
    using Owner::Owner;
    static EvidenceBundle from_json(std::string_view json) {
        return EvidenceBundle(detail::made<pv_evidence_bundle>([&](pv_evidence_bundle **out, pv_error **error) {
            return pv_evidence_bundle_from_json(detail::bytes(json), out, error);
        }));
    }
    static EvidenceBundle snp(const HardwareInput &input) { return of(input, {}, pv_evidence_bundle_snp); }
    static EvidenceBundle tdx(const HardwareInput &input) { return of(input, {}, pv_evidence_bundle_tdx); }
    static EvidenceBundle nvidia(const HardwareInput &input, std::string_view nonce) {
        return of(input, nonce, pv_evidence_bundle_nvidia);
    }
    /// By default by its own policy and at its own time; see pv_evidence_bundle_appraise().
    Report appraise(const Policy *policy = nullptr, const TrustRoots *trust_roots = nullptr,
                    uint64_t at_unix_s = PV_NOW) const {
        return Report(detail::made<pv_report>([&](pv_report **out, pv_error **error) {
            return pv_evidence_bundle_appraise(handle(), policy == nullptr ? nullptr : policy->handle(),
                                               trust_roots == nullptr ? nullptr : trust_roots->handle(), at_unix_s,
                                               out, error);
        }));
    }
    std::optional<TrustRoots> custom_roots() const {
        pv_trust_roots *roots = detail::made<pv_trust_roots>([&](pv_trust_roots **out, pv_error **error) {
            return pv_evidence_bundle_custom_roots(handle(), out, error);
        });
        if (roots == nullptr) return std::nullopt;
        return TrustRoots(roots);
    }
    std::string kind() const { return detail::text(pv_evidence_bundle_kind(handle())); }
    uint64_t at() const { return pv_evidence_bundle_at(handle()); }
    std::string to_json() const { return detail::text(pv_evidence_bundle_to_json(handle())); }

  private:
    template <typename Make>
    static EvidenceBundle of(const HardwareInput &input, std::string_view nonce, Make make) {
        std::vector<pv_bytes> files;
        for (const std::string &file : input.files) files.push_back(detail::bytes(file));
        pv_hardware_input raw = {};
        raw.struct_size = sizeof raw;
        raw.files = files.data();
        raw.files_count = files.size();
        raw.nonce = detail::bytes(nonce);
        raw.report_data = detail::bytes(input.report_data);
        raw.measurement = detail::bytes(input.measurement);
        raw.host_data = detail::bytes(input.host_data);
        raw.mr_td = detail::bytes(input.mr_td);
        raw.mr_seam = detail::bytes(input.mr_seam);
        raw.mr_config_id = detail::bytes(input.mr_config_id);
        raw.mr_owner = detail::bytes(input.mr_owner);
        raw.mr_owner_config = detail::bytes(input.mr_owner_config);
        raw.rtmr0 = detail::bytes(input.rtmr0);
        raw.rtmr1 = detail::bytes(input.rtmr1);
        raw.rtmr2 = detail::bytes(input.rtmr2);
        raw.rtmr3 = detail::bytes(input.rtmr3);
        raw.at_unix_s = input.at_unix_s;
        raw.policy = input.policy == nullptr ? nullptr : input.policy->handle();
        raw.trust_roots = input.trust_roots == nullptr ? nullptr : input.trust_roots->handle();
        return EvidenceBundle(detail::made<pv_evidence_bundle>(
            [&](pv_evidence_bundle **out, pv_error **error) { return make(&raw, out, error); }));
    }
};

/// A request for a transport of your own.
class HttpRequest : public detail::Owner<pv_http_request> {
  public:
    using Owner::Owner;
    std::string method() const { return detail::text(pv_http_request_method(handle())); }
    std::string url() const { return detail::text(pv_http_request_url(handle())); }
    std::vector<Header> headers() const {
        std::vector<Header> out;
        for (size_t i = 0; i < pv_http_request_header_count(handle()); ++i) {
            out.push_back({detail::text(pv_http_request_header_name(handle(), i)),
                           detail::text(pv_http_request_header_value(handle(), i)),
                           pv_http_request_header_sensitive(handle(), i) != 0});
        }
        return out;
    }
    std::string_view body() const { return detail::view(pv_http_request_body(handle())); }
    int32_t tls_rule() const { return pv_http_request_tls_rule(handle()); } ///< PV_TLS_...
    std::vector<std::string> pinned_spki() const {
        std::vector<std::string> out;
        for (size_t i = 0; i < pv_http_request_pinned_spki_count(handle()); ++i) {
            out.emplace_back(detail::view(pv_http_request_pinned_spki(handle(), i)));
        }
        return out;
    }
    size_t max_response_bytes() const { return pv_http_request_max_response_bytes(handle()); }
    std::string purpose() const { return detail::text(pv_http_request_purpose(handle())); }
};

/// What is known about an answer that reached its end.
class Receipt : public detail::Owner<pv_receipt> {
  public:
    using Owner::Owner;
    std::optional<std::string> id() const { return detail::maybe(pv_receipt_id(handle())); }
    uint64_t sealed_fields() const { return pv_receipt_sealed_fields(handle()); }
    uint64_t body_bytes() const { return pv_receipt_body_bytes(handle()); }
    uint64_t ignored_bytes() const { return pv_receipt_ignored_bytes(handle()); }
    std::string request_sha256() const { return detail::text(pv_receipt_request_sha256(handle())); }
    std::string response_sha256() const { return detail::text(pv_receipt_response_sha256(handle())); }
};

/// Opens one answer as its bytes arrive.
class Opener : public detail::Owner<pv_opener> {
  public:
    using Owner::Owner;
    static Opener for_key(std::string_view private_key, uint32_t flags = 0) {
        return Opener(detail::made<pv_opener>([&](pv_opener **out, pv_error **error) {
            return pv_opener_for_key(detail::bytes(private_key), flags, out, error);
        }));
    }
    void head(uint32_t http_status, const std::vector<Header> &headers) {
        const auto raw = detail::borrowed(headers);
        detail::check([&](pv_error **error) {
            return pv_opener_head(handle(), http_status, raw.data(), raw.size(), error);
        });
    }
    /// The error of a failure carries the events before it.
    std::vector<Event> push(std::string_view piece) {
        return with_events([&](pv_events **events, pv_error **error) {
            return pv_opener_push(handle(), detail::bytes(piece), events, error);
        });
    }
    /// The last events and the receipt.
    std::pair<std::vector<Event>, Receipt> finish() {
        pv_receipt *receipt = nullptr;
        auto events = with_events([&](pv_events **out, pv_error **error) {
            return pv_opener_finish(handle(), out, &receipt, error);
        });
        return {std::move(events), Receipt(receipt)};
    }

  private:
    template <typename Call> static std::vector<Event> with_events(Call &&call) {
        pv_events *events = nullptr;
        pv_error *error = nullptr;
        const pv_status status = call(&events, &error);
        std::unique_ptr<pv_error, detail::Free> owner(error);
        auto taken = detail::take(events);
        if (status != PV_OK) throw Error(status, std::move(owner), std::move(taken));
        return taken;
    }
};

/// A request whose prompt is sealed to the proven key.
class Sealed : public detail::Owner<pv_sealed> {
  public:
    using Owner::Owner;
    HttpRequest request() const {
        return HttpRequest(detail::made<pv_http_request>([&](pv_http_request **out, pv_error **error) {
            return pv_sealed_request(handle(), out, error);
        }));
    }
};

/// A proven endpoint. Only a verification makes one.
class Endpoint : public detail::Owner<pv_endpoint> {
  public:
    Report report() const {
        return Report(detail::made<pv_report>(
            [&](pv_report **out, pv_error **error) { return pv_endpoint_report(handle(), out, error); }));
    }
    std::string provider() const { return detail::text(pv_endpoint_provider(handle())); }
    std::string model() const { return detail::text(pv_endpoint_model(handle())); }
    uint64_t not_after() const { return pv_endpoint_not_after(handle()); }
    std::pair<Sealed, Opener> seal(std::string_view body, uint64_t at_unix_s = PV_NOW) const {
        pv_sealed *sealed = nullptr;
        pv_opener *opener = nullptr;
        detail::check([&](pv_error **error) {
            return pv_endpoint_seal(handle(), detail::bytes(body), at_unix_s, &sealed, &opener, error);
        });
        return {Sealed(sealed), Opener(opener)};
    }
    /// Any endpoint of the API, by its path; JSON needs no content type.
    std::pair<Sealed, Opener> seal_request(const std::string &endpoint_path, std::string_view body,
                                           const std::optional<std::string> &content_type = std::nullopt,
                                           uint64_t at_unix_s = PV_NOW) const {
        pv_sealed *sealed = nullptr;
        pv_opener *opener = nullptr;
        detail::check([&](pv_error **error) {
            return pv_endpoint_seal_request(handle(), endpoint_path.c_str(), detail::bytes(body),
                                            detail::c_str(content_type), at_unix_s, &sealed, &opener, error);
        });
        return {Sealed(sealed), Opener(opener)};
    }
    HttpRequest signature_request(const Receipt &receipt) const {
        return HttpRequest(detail::made<pv_http_request>([&](pv_http_request **out, pv_error **error) {
            return pv_endpoint_signature_request(handle(), receipt.handle(), out, error);
        }));
    }
    Signature check_signature(const Receipt &receipt, uint32_t http_status, const std::vector<Header> &headers,
                              std::string_view body) const {
        const auto raw = detail::borrowed(headers);
        int32_t verdict = 0;
        detail::check([&](pv_error **error) {
            return pv_endpoint_check_signature(handle(), receipt.handle(), http_status, raw.data(), raw.size(),
                                               detail::bytes(body), &verdict, error);
        });
        return static_cast<Signature>(verdict);
    }

  private:
    friend class Exchange;
    friend class Client;
    explicit Endpoint(pv_endpoint *handle) : Owner(handle) {}
};

/// One verification for a transport of your own: send what next() gives, feed() the answer, until next() gives nothing.
class Exchange : public detail::Owner<pv_exchange> {
  public:
    explicit Exchange(const pv_exchange_options &options)
        : Owner(detail::made<pv_exchange>(
              [&](pv_exchange **out, pv_error **error) { return pv_exchange_new(&options, out, error); })) {}
    std::optional<HttpRequest> next(uint64_t at_unix_s = PV_NOW) {
        auto *request = detail::made<pv_http_request>([&](pv_http_request **out, pv_error **error) {
            return pv_exchange_next(handle(), at_unix_s, out, error);
        });
        return request == nullptr ? std::nullopt : std::optional<HttpRequest>(HttpRequest(request));
    }
    void feed(uint32_t http_status, const std::vector<Header> &headers, std::string_view body) {
        const auto raw = detail::borrowed(headers);
        detail::check([&](pv_error **error) {
            return pv_exchange_feed(handle(), http_status, raw.data(), raw.size(), detail::bytes(body), error);
        });
    }
    void fail(TransportFailure failure) {
        detail::check([&](pv_error **error) {
            return pv_exchange_fail(handle(), static_cast<int32_t>(failure), error);
        });
    }
    Report report() const {
        return Report(detail::made<pv_report>(
            [&](pv_report **out, pv_error **error) { return pv_exchange_report(handle(), out, error); }));
    }
    /// Throws the refusal when the verdict is not `verified`.
    Endpoint endpoint() const {
        return Endpoint(detail::made<pv_endpoint>(
            [&](pv_endpoint **out, pv_error **error) { return pv_exchange_endpoint(handle(), out, error); }));
    }
    std::string model_list() const {
        return detail::buffer(
            [&](pv_buf *out, pv_error **error) { return pv_exchange_model_list(handle(), out, error); });
    }
    /// The provider's answer and the challenge that was sent.
    std::pair<std::string, std::string> evidence() const {
        pv_buf nonce = {nullptr, 0, nullptr};
        const std::unique_ptr<pv_buf, pv_status (*)(pv_buf *)> owner(&nonce, pv_buf_free);
        auto response = detail::buffer([&](pv_buf *out, pv_error **error) {
            return pv_exchange_evidence(handle(), out, &nonce, error);
        });
        return {std::move(response), std::string(detail::view({nonce.data, nonce.len}))};
    }
    std::string endorsements_json() const {
        return detail::buffer(
            [&](pv_buf *out, pv_error **error) { return pv_exchange_endorsements_json(handle(), out, error); });
    }
    std::vector<std::string> collateral_json() const {
        std::vector<std::string> out;
        for (size_t i = 0; i < pv_exchange_collateral_count(handle()); ++i) {
            out.push_back(detail::buffer([&](pv_buf *buf, pv_error **error) {
                return pv_exchange_collateral_json(handle(), i, buf, error);
            }));
        }
        return out;
    }
};

/// Ends blocking calls from another thread.
class Cancel : public detail::Owner<pv_cancel> {
  public:
    Cancel()
        : Owner(detail::made<pv_cancel>(
              [](pv_cancel **out, pv_error **error) { return pv_cancel_new(out, error); })) {}
    void trigger() const { pv_cancel_trigger(handle()); }
};

/// Bounds of one blocking call.
struct Call {
    uint32_t timeout_ms = 0; ///< 0: the client's own bounds
    const Cancel *cancel = nullptr;
    const pv_cancel *switch_handle() const { return cancel == nullptr ? nullptr : cancel->handle(); }
};

/// One streamed answer.
class Stream : public detail::Owner<pv_stream> {
  public:
    using Owner::Owner;
    /// The next event; nothing at the end of a complete answer.
    std::optional<Event> next(Call call = {}) {
        while (position_ == pending_.size()) {
            auto *events = detail::made<pv_events>([&](pv_events **out, pv_error **error) {
                return pv_stream_next(handle(), call.timeout_ms, call.switch_handle(), out, error);
            });
            if (events == nullptr) return std::nullopt;
            pending_ = detail::take(events);
            position_ = 0;
        }
        return std::move(pending_[position_++]);
    }
    Report report() const {
        return Report(detail::made<pv_report>(
            [&](pv_report **out, pv_error **error) { return pv_stream_report(handle(), out, error); }));
    }
    Receipt receipt() const {
        return Receipt(detail::made<pv_receipt>(
            [&](pv_receipt **out, pv_error **error) { return pv_stream_receipt(handle(), out, error); }));
    }
    Signature verify_signature(Call call = {}) {
        int32_t verdict = 0;
        detail::check([&](pv_error **error) {
            return pv_stream_verify_signature(handle(), call.timeout_ms, call.switch_handle(), &verdict, error);
        });
        return static_cast<Signature>(verdict);
    }

  private:
    std::vector<Event> pending_;
    size_t position_ = 0;
};

/// Settings of a client.
struct ClientOptions {
    std::string provider;
    std::string api_key;
    std::optional<std::string> base_url = std::nullopt;
    std::optional<std::string> collateral_url = std::nullopt;
    const Policy *policy = nullptr;
    const TrustRoots *trust_roots = nullptr;
    std::string ca_bundle_pem = {};
    std::optional<std::string> proxy = std::nullopt; ///< a URL, "none" or "environment"
    std::optional<std::string> cache_dir = std::nullopt;
    std::optional<std::string> nvidia_url = std::nullopt; ///< asked only where the policy requires it
    std::optional<std::string> pins_path = std::nullopt; ///< file of pinned software
    std::string manifest = {}; ///< Privatemode: the manifest that the deployment must have
    std::optional<std::string> manifest_url = std::nullopt;
    std::optional<std::string> amd_url = std::nullopt;
    std::optional<std::string> cache_salt = std::nullopt; ///< at least 32 bytes
    std::optional<std::string> key_service_name = std::nullopt;
    uint64_t gpu_revocation_grace_s = 0; ///< 0: only GPUs that were not revoked
    std::optional<std::string> workspace = std::nullopt; ///< Privatemode: folder for the log of manifests
    uint32_t connect_timeout_s = 0;      ///< for connecting, in seconds; 0: the default
    uint32_t first_byte_timeout_s = 0;   ///< for the first byte of an answer, in seconds; 0: the default
    uint32_t idle_timeout_s = 0;         ///< for a gap in an answer, in seconds; 0: the default
    uint32_t verification_timeout_s = 0; ///< for a whole verification, in seconds; 0: the default
};

/// Verifies, sends and opens with a transport of its own.
class Client : public detail::Owner<pv_client> {
  public:
    explicit Client(const ClientOptions &options) : Owner(make(options)) {}
    std::string models_json(Call call = {}) const {
        return detail::buffer([&](pv_buf *out, pv_error **error) {
            return pv_client_models_json(handle(), call.timeout_ms, call.switch_handle(), out, error);
        });
    }
    Report verify(const std::string &model, Call call = {}) const {
        return Report(detail::made<pv_report>([&](pv_report **out, pv_error **error) {
            return pv_client_verify(handle(), model.c_str(), call.timeout_ms, call.switch_handle(), out, error);
        }));
    }
    /// A fresh verification with everything that it used, whatever its verdict.
    EvidenceBundle capture(const std::string &model, Call call = {}) const {
        return EvidenceBundle(detail::made<pv_evidence_bundle>([&](pv_evidence_bundle **out, pv_error **error) {
            return pv_client_capture(handle(), model.c_str(), call.timeout_ms, call.switch_handle(), out, error);
        }));
    }
    Endpoint ready(const std::string &model, Call call = {}) const {
        return Endpoint(detail::made<pv_endpoint>([&](pv_endpoint **out, pv_error **error) {
            return pv_client_ready(handle(), model.c_str(), call.timeout_ms, call.switch_handle(), out, error);
        }));
    }
    Stream chat(std::string_view body, Call call = {}) const {
        return Stream(detail::made<pv_stream>([&](pv_stream **out, pv_error **error) {
            return pv_client_chat(handle(), detail::bytes(body), call.timeout_ms, call.switch_handle(), out, error);
        }));
    }
    /// Any endpoint of the API, by its path; JSON needs no content type. The answer comes as documents.
    Stream send(const std::string &endpoint_path, std::string_view body,
                const std::optional<std::string> &content_type = std::nullopt, Call call = {}) const {
        return Stream(detail::made<pv_stream>([&](pv_stream **out, pv_error **error) {
            return pv_client_send(handle(), endpoint_path.c_str(), detail::bytes(body), detail::c_str(content_type),
                                  call.timeout_ms, call.switch_handle(), out, error);
        }));
    }
    /// The whole answer, as JSON.
    std::string embeddings(std::string_view body, Call call = {}) const {
        return detail::buffer([&](pv_buf *out, pv_error **error) {
            return pv_client_embeddings(handle(), detail::bytes(body), call.timeout_ms, call.switch_handle(), out, error);
        });
    }
    /// The whole answer to a form, as JSON.
    std::string transcriptions(std::string_view body, const std::string &content_type, Call call = {}) const {
        return detail::buffer([&](pv_buf *out, pv_error **error) {
            return pv_client_transcriptions(handle(), detail::bytes(body), content_type.c_str(), call.timeout_ms,
                                            call.switch_handle(), out, error);
        });
    }

  private:
    static pv_client *make(const ClientOptions &options) {
        pv_client_options raw = {};
        raw.struct_size = sizeof raw;
        raw.provider = options.provider.c_str();
        raw.api_key = options.api_key.c_str();
        raw.base_url = detail::c_str(options.base_url);
        raw.collateral_url = detail::c_str(options.collateral_url);
        raw.policy = options.policy == nullptr ? nullptr : options.policy->handle();
        raw.trust_roots = options.trust_roots == nullptr ? nullptr : options.trust_roots->handle();
        raw.ca_bundle_pem = detail::bytes(options.ca_bundle_pem);
        raw.proxy = detail::c_str(options.proxy);
        raw.cache_dir = detail::c_str(options.cache_dir);
        raw.nvidia_url = detail::c_str(options.nvidia_url);
        raw.pins_path = detail::c_str(options.pins_path);
        raw.manifest = detail::bytes(options.manifest);
        raw.manifest_url = detail::c_str(options.manifest_url);
        raw.amd_url = detail::c_str(options.amd_url);
        raw.cache_salt = detail::c_str(options.cache_salt);
        raw.key_service_name = detail::c_str(options.key_service_name);
        raw.gpu_revocation_grace_s = options.gpu_revocation_grace_s;
        raw.workspace = detail::c_str(options.workspace);
        raw.connect_timeout_s = options.connect_timeout_s;
        raw.first_byte_timeout_s = options.first_byte_timeout_s;
        raw.idle_timeout_s = options.idle_timeout_s;
        raw.verification_timeout_s = options.verification_timeout_s;
        return detail::made<pv_client>(
            [&](pv_client **out, pv_error **error) { return pv_client_new(&raw, out, error); });
    }
};

/// Runs one check over provider data: JSON in, JSON out, never a proof.
inline std::string inspect(const std::string &kind, std::string_view json) {
    return detail::buffer([&](pv_buf *out, pv_error **error) {
        return pv_inspect(kind.c_str(), detail::bytes(json), out, error);
    });
}

/// Seals one field to a public key (65 bytes): hex digits.
inline std::string seal_field(std::string_view public_key, std::string_view plaintext) {
    return detail::buffer([&](pv_buf *out, pv_error **error) {
        return pv_seal_field(detail::bytes(public_key), detail::bytes(plaintext), out, error);
    });
}

/// Opens one sealed field (hex digits) with a private key (32 bytes).
inline std::string open_field(std::string_view private_key, std::string_view field_hex) {
    return detail::buffer([&](pv_buf *out, pv_error **error) {
        return pv_open_field(detail::bytes(private_key), detail::bytes(field_hex), out, error);
    });
}

} // namespace proveil

#endif // PROVEIL_HPP
