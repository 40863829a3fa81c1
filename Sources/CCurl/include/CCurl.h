// What Swift's importer can't see of libcurl: its variadic setters and getters, one for each type of value that we use, and macros.
// Every symbol starts with `ccurl_` or `CCURL_`. Nothing here decides anything: policy lives in Swift.
#pragma once

#include <curl/curl.h>
#include <stdint.h>

typedef size_t (*ccurl_receiver)(char *bytes, size_t size, size_t count, void *context);

static inline CURLcode ccurl_initialize(void) { return curl_global_init(CURL_GLOBAL_DEFAULT); }

static inline CURLcode ccurl_set_long(CURL *handle, CURLoption option, long value) { return curl_easy_setopt(handle, option, value); }

/// libcurl copies the text, except that of CURLOPT_POSTFIELDS.
static inline CURLcode ccurl_set_text(CURL *handle, CURLoption option, const char *value) { return curl_easy_setopt(handle, option, value); }

static inline CURLcode ccurl_set_list(CURL *handle, CURLoption option, struct curl_slist *value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode ccurl_set_pointer(CURL *handle, CURLoption option, void *value) { return curl_easy_setopt(handle, option, value); }

static inline CURLcode ccurl_set_receiver(CURL *handle, CURLoption option, ccurl_receiver value) {
    return curl_easy_setopt(handle, option, value);
}

/// The bytes are copied.
static inline CURLcode ccurl_set_blob(CURL *handle, CURLoption option, const void *bytes, size_t count) {
    struct curl_blob blob = {.data = (void *)bytes, .len = count, .flags = CURL_BLOB_COPY};
    return curl_easy_setopt(handle, option, &blob);
}

static inline long ccurl_get_long(CURL *handle, CURLINFO information) {
    long value = 0;
    return curl_easy_getinfo(handle, information, &value) == CURLE_OK ? value : 0;
}

static inline int64_t ccurl_get_offset(CURL *handle, CURLINFO information) {
    curl_off_t value = -1;
    return curl_easy_getinfo(handle, information, &value) == CURLE_OK ? value : -1;
}

/// The text belongs to the handle, until its next transfer; NULL where there is none.
static inline const char *ccurl_get_text(CURL *handle, CURLINFO information) {
    char *value = 0;
    return curl_easy_getinfo(handle, information, &value) == CURLE_OK ? value : 0;
}

/// Value number `index` of a header of the latest response; it belongs to the handle, until its next transfer. NULL where there is none.
static inline const char *ccurl_get_header(CURL *handle, const char *name, size_t index) {
    struct curl_header *header = 0;
    return curl_easy_header(handle, name, index, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : 0;
}

static const unsigned long CCURL_AUTH_BASIC = CURLAUTH_BASIC;
static const unsigned long CCURL_AUTH_BEARER = CURLAUTH_BEARER;
static const unsigned long CCURL_ERROR_SIZE = CURL_ERROR_SIZE;
