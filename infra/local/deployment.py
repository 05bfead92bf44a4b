"""Deploys the project's own template to the emulator through CloudFormation, nested stacks included."""

import copy
import hashlib
import io
import json
import time
import zipfile
from pathlib import Path

import boto3
import botocore.config
import botocore.exceptions

import expand
from expand import REGION
from prerequisites import ROOT
from progress import Failure

BUCKET = "tillstream-deployment"
DEPLOYED_SECONDS_MAX = 300
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


class Cloud:
    """The emulator, and what is deployed to it."""

    stack_name = "tillstream"

    def __init__(self, endpoint: str):
        self.endpoint = endpoint

    def client(self, service: str):
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            config=botocore.config.Config(retries={"max_attempts": 2}, s3={"addressing_style": "path"}),
            **CREDENTIALS,
        )

    def is_deployed(self) -> bool:
        try:
            stack = self.client("cloudformation").describe_stacks(StackName=self.stack_name)["Stacks"][0]
        except botocore.exceptions.ClientError:
            return False
        return stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")

    def outputs(self) -> dict[str, str]:
        stack = self.client("cloudformation").describe_stacks(StackName=self.stack_name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def deploy(self, template: dict, parameters: dict[str, str]) -> None:
        """Creates the stack, or updates it to what was built since."""
        template = copy.deepcopy(template)
        storage = self.client("s3")
        storage.create_bucket(Bucket=BUCKET)
        for name, directory in expand.code_directories(template).items():
            template["Resources"][name]["Properties"]["CodeUri"] = self.upload_code(storage, ROOT / directory)
        for name, path in expand.nested_templates(template).items():
            url = self.upload_template(storage, (ROOT / path).read_bytes())
            template["Resources"][name]["Properties"]["TemplateURL"] = url
        expanded = expand.expand(template, parameters)
        url = self.upload_template(storage, json.dumps(expanded, default=str).encode())
        self.apply(url, parameters)

    def upload_code(self, storage, directory: Path) -> dict:
        bootstrap = (directory / "bootstrap").read_bytes()
        key = f"{directory.name}/{hashlib.sha256(bootstrap).hexdigest()}.zip"
        archive = io.BytesIO()
        # Not compressed: it never leaves this machine.
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as out:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o755 << 16
            out.writestr(entry, bootstrap)
        storage.put_object(Bucket=BUCKET, Key=key, Body=archive.getvalue())
        return {"Bucket": BUCKET, "Key": key}

    def upload_template(self, storage, body: bytes) -> str:
        key = f"{hashlib.sha256(body).hexdigest()}.template"
        storage.put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"{self.endpoint}/{BUCKET}/{key}"

    def apply(self, url: str, parameters: dict[str, str]) -> None:
        formation = self.client("cloudformation")
        request = {
            "StackName": self.stack_name,
            "TemplateURL": url,
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        }
        try:
            if self.is_deployed():
                formation.update_stack(**request)
            else:
                # What an earlier attempt left; there is nothing to delete on a fresh emulator.
                formation.delete_stack(StackName=self.stack_name)
                formation.create_stack(**request)
        except botocore.exceptions.ClientError as error:
            if "No updates are to be performed" in str(error):
                return
            raise Failure(f"CloudFormation refused the template: {error}") from error
        deadline = time.monotonic() + DEPLOYED_SECONDS_MAX
        while True:
            stack = formation.describe_stacks(StackName=self.stack_name)["Stacks"][0]
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                break
            if time.monotonic() > deadline:
                raise Failure(f"the stack is still {stack['StackStatus']} after {DEPLOYED_SECONDS_MAX} s")
            time.sleep(0.2)
        if stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise Failure(
                f"the stack ended as {stack['StackStatus']}; the emulator's log (ministack.log) says which resource failed"
            )
