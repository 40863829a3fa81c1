#include "CCurl.h"

// Header-only: the shims are inline. This file makes the target buildable and checks what the Swift side relies on.
_Static_assert(LIBCURL_VERSION_NUM >= 0x075500, "curl_easy_header and CURLOPT_PROTOCOLS_STR came with libcurl 7.85");
