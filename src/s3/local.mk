# sources of src/s3
libholdfs_a_SOURCES += \
	src/s3/s3_front.h src/s3/front.h src/s3/server.c src/s3/exchange.h src/s3/stream.c src/s3/listen.h src/s3/listen.c \
	src/s3/workers.h src/s3/workers.c src/s3/reaper.h src/s3/reaper.c src/s3/tls.h src/s3/tls.c \
	src/s3/message.h src/s3/message.c src/s3/sigv4.h src/s3/sigv4.c src/s3/chunked.h src/s3/chunked.c \
	src/s3/request.h src/s3/request.c src/s3/route.c src/s3/authenticate.c src/s3/authenticate_v2.c src/s3/sigv2.h src/s3/sigv2.c src/s3/context.c src/s3/integrity.c \
	src/s3/parameters.c src/s3/answer.c src/s3/error.c src/s3/xmlin.h src/s3/xmlin.c src/s3/token.h src/s3/token.c \
	src/s3/bucket.c src/s3/list.h src/s3/list.c src/s3/object.c \
	src/s3/copy.h src/s3/copy.c src/s3/multipart.c src/s3/multipart_list.c src/s3/list_versions.c src/s3/delete_many.c \
	src/s3/tagging.c src/s3/subresource.c src/s3/attributes.c
