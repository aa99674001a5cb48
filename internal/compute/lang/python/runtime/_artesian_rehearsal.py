"""What a process does before it knows its function, so that it has done before what it will do then."""


def handler(event, context):
    return event
