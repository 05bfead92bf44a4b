"""Expands template.yaml into what the emulator can deploy.

The template stays idiomatic SAM. On AWS the transform runs inside CloudFormation; here the same
transform (aws-sam-translator) runs on this machine, because the result needs one change: the
emulator ignores the OpenAPI body of an HTTP API, so the routes in it are made into explicit
Integration and Route resources. Nested templates are plain CloudFormation and deploy as they are.
"""

import hashlib
import json
import os
import re
from pathlib import Path

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


REGION = "us-east-1"


class NoManagedPolicies:
    """The template names managed policies by ARN only, so there are no names to look up on AWS."""

    def load(self):
        return {}


def load(path: Path) -> dict:
    """A template as plain data; !Ref, !GetAtt and the others in their long form."""
    return yaml_parse(path.read_text(encoding="utf-8"))


def expand(template: dict, parameters: dict) -> dict:
    """The CloudFormation template that SAM makes of `template`, with explicit HTTP routes."""
    # The transform asks the environment for a region, without using it for what is expanded here.
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    expanded = transform(template, parameters, NoManagedPolicies())
    for name, resource in list(expanded["Resources"].items()):
        if resource["Type"] == "AWS::ApiGatewayV2::Api" and "Body" in resource["Properties"]:
            expanded["Resources"].update(explicit_routes(name, resource))
    grant_batch_sends(expanded["Resources"])
    return expanded


def grant_batch_sends(node) -> None:
    """On AWS sqs:SendMessage covers SendMessageBatch, and there is no such action as sqs:SendMessageBatch
    (Service Authorization Reference, Amazon SQS). The emulator asks for one."""
    if isinstance(node, dict):
        actions = node.get("Action")
        if isinstance(actions, list) and "sqs:SendMessage" in actions:
            actions.append("sqs:SendMessageBatch")
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        grant_batch_sends(child)


def explicit_routes(api: str, resource: dict) -> dict:
    """Integration and Route resources for an API's OpenAPI body, which is taken out of it."""
    body = resource["Properties"].pop("Body")
    resource["Properties"].setdefault("Name", api)
    resource["Properties"].setdefault("ProtocolType", "HTTP")
    added = {}
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            if "x-amazon-apigateway-integration" not in operation:
                continue
            integration = operation["x-amazon-apigateway-integration"]
            key = json.dumps(integration["uri"], sort_keys=True)
            integration_name = f"{api}Integration{hashlib.sha256(key.encode()).hexdigest()[:12]}"
            added[integration_name] = {
                "Type": "AWS::ApiGatewayV2::Integration",
                "Properties": {
                    "ApiId": {"Ref": api},
                    "IntegrationType": "AWS_PROXY",
                    "IntegrationUri": integration["uri"],
                    "PayloadFormatVersion": integration.get("payloadFormatVersion", "2.0"),
                },
            }
            route = route_key(path, method)
            added[f"{api}Route{hashlib.sha256(route.encode()).hexdigest()[:12]}"] = {
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {
                    "ApiId": {"Ref": api},
                    "RouteKey": route,
                    "Target": {"Fn::Join": ["/", ["integrations", {"Ref": integration_name}]]},
                },
            }
    return added


def route_key(path: str, method: str) -> str:
    if path == "$default":
        return "$default"
    verb = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
    return f"{verb} {path}"


def routes(template: dict) -> list[tuple[str, str, str]]:
    """(method, path, function) of every HTTP event in a SAM template."""
    found = []
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        for event in resource["Properties"].get("Events", {}).values():
            if event["Type"] == "HttpApi":
                properties = event["Properties"]
                found.append((properties.get("Method", "ANY").upper(), properties.get("Path", "$default"), name))
    return found


def code_directories(template: dict) -> dict[str, Path]:
    """Function resource -> the directory its code is taken from."""
    return {
        name: Path(resource["Properties"]["CodeUri"])
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def nested_templates(template: dict) -> dict[str, Path]:
    """Nested stack resource -> its template's path, for those kept beside this template."""
    return {
        name: Path(resource["Properties"]["TemplateURL"])
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudFormation::Stack"
        and not re.match(r"https?://", str(resource["Properties"]["TemplateURL"]))
    }
