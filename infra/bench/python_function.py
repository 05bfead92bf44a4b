"""What a function of this system does before its first event, in Python: builds clients, opens the
connection to the database with a read, asks for an event. To compare cold starts with.

    python_function.py dynamodb [kinesis] [sqs]

It asks with the standard library, which starts sooner than AWS's runtime client for Python.
"""

import http.client
import os
import sys

import boto3

clients = {name: boto3.client(name) for name in sys.argv[1:]}
clients["dynamodb"].get_item(
    TableName=os.environ["IDENTITY_TABLE"], Key={"pk": {"S": "jwks"}, "sk": {"S": "jwks"}}
)
runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
runtime.request("GET", "/2018-06-01/runtime/invocation/next")
runtime.getresponse()
