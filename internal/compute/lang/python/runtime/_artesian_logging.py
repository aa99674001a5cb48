"""Lambda's handler of the root logger, as text or JSON."""
import os
import time


def level_of(record):
    return min(50, max(0, record.levelno)) // 10 * 10


def setup(logging, as_json, current_request, current_tenant, write_record):
    """current_request and current_tenant tell of the call that runs; write_record takes a level and the text of a record."""
    logging.Formatter.converter = time.gmtime

    class LambdaLoggerHandler(logging.Handler):
        def emit(self, record):
            try:
                text = self.format(record)
                write_record(level_of(record), text[:-1] if text.endswith("\n") else text)
            except Exception:
                self.handleError(record)

    class LambdaLoggerFilter(logging.Filter):
        def filter(self, record):
            record.aws_request_id = current_request()
            record.tenant_id = current_tenant()
            return True

    handler = LambdaLoggerHandler()
    if as_json:
        handler.setFormatter(json_formatter(logging))
    else:
        line = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
        handler.setFormatter(logging.Formatter(line, "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(LambdaLoggerFilter())
    root = logging.getLogger()
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = "DEBUG" if level == "TRACE" else "CRITICAL" if level == "FATAL" else level
    if level in logging._nameToLevel:
        root.setLevel(level)
    root.addHandler(handler)


RECORD_FIELDS = frozenset(
    "name msg args levelname levelno pathname filename module exc_info exc_text stack_info lineno funcName created msecs"
    " relativeCreated thread threadName processName process aws_request_id tenant_id".split()
)


def json_formatter(logging):
    import json
    import traceback

    encode = json.JSONEncoder(ensure_ascii=False, default=str).encode

    class JsonFormatter(logging.Formatter):
        def format(self, record):
            error = record.exc_info or None
            whole = isinstance(record.msg, dict) and not record.args
            fields = {
                "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
                "level": logging.getLevelName(level_of(record)),
                "message": record.msg if whole else record.getMessage(),
                "logger": record.name,
                "stackTrace": traceback.format_tb(error[2]) if error else None,
                "errorType": error[0].__name__ if error and error[0] else None,
                "errorMessage": str(error[1]) if error else None,
                "requestId": record.aws_request_id,
                "location": "%s:%s:%s" % (record.pathname, record.funcName, record.lineno) if error else None,
                "tenantId": record.tenant_id,
            }
            for name, value in record.__dict__.items():
                if name not in RECORD_FIELDS and name not in fields:
                    fields[name] = value
            return encode({k: v for k, v in fields.items() if v is not None})

    return JsonFormatter()
