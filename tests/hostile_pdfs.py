"""What must become of each file in fixtures/pdf/hostile: the truth about the files, not what our code said once.

How it was established: the header bytes; the page objects, read in the bytes where they are not compressed; whether
the file opens with the password that its origin documents (all of the password folder did, but the one in Chinese);
the content streams of every page without text; and, for the files cut from multi_page.pdf, the words of that file.
"""

_TIKA_PDF = "-parser-pdf-module__src__test__resources__test-documents__"

HOSTILE: dict[str, str | tuple[int, int]] = {
    # Up to 661 bytes stand before the header: printer commands, AppleSingle, a print ticket, a byte order mark.
    "bad-header/pdfplumber__tests__pdfs__issue-848.pdf": (8, 0),
    "bad-header/tika__sers-standard-modules__tika-parser-apple-module__src__test__resources__test-documents__"
    "testAppleSingleFile.pdf": (1, 0),
    "bad-header/tika__tika-core__src__test__resources__org__apache__tika__mime__"
    "test-pdf-with-print-ticket-header.pdf": (1, 0),
    f"bad-header/tika__tika-parsers-standard-modules__tika{_TIKA_PDF}testPDF_bom.pdf": (1, 0),
    # One page of 1 x 1 point whose content stream is empty.
    f"corrupt-both-repair/tika__rsers-standard-modules__tika{_TIKA_PDF}testPDF_malformedXFA.pdf": (0, 1),
    "derived/html_named.pdf": "unsupported",
    "derived/jpeg_named.pdf": "unsupported",
    # Cut or overwritten, but all five pages are found, with over 93 of 100 words each.
    "derived/pdf__sources__multi_page.trunc50.pdf": (5, 0),
    "derived/pdf__sources__multi_page.trunc_tail1k.pdf": (5, 0),
    "derived/zeros_middle.pdf": (5, 0),
    f"embedded-files/tika__d-modules__tika{_TIKA_PDF}testPDF_deeplyEmbeddedAttachments.pdf": (1, 0),
    f"embedded-files/tika__tandard-modules__tika{_TIKA_PDF}testPDF_multiFormatEmbFiles.pdf": (1, 0),
    # A scan between two pages without content.
    "encrypted-empty-userpw/pypdf__resources__encrypted_doc_no_id.pdf": (0, 3),
    "encrypted-empty-userpw/pypdf__resources__encryption__r2-empty-password.pdf": (1, 0),
    "encrypted-empty-userpw/pypdf__resources__encryption__r3-empty-password.pdf": (1, 0),
    f"encrypted-empty-userpw/tika__{_TIKA_PDF}testPDF_no_extract_yes_accessibility_owner_empty.pdf": (1, 0),
    f"encrypted-empty-userpw/tika__a{_TIKA_PDF}testPDF_no_extract_no_accessibility_owner_empty.pdf": (1, 0),
    # The visible page says that another reader is needed; the protected document is an attachment.
    f"encrypted-empty-userpw/tika__s-standard-modules__tika{_TIKA_PDF}testMicrosoftIRMServices.pdf": (1, 0),
    "encrypted-empty-userpw/unstructured__example-docs__pdf__copy-protected.pdf": (2, 0),
    # A page without content, and a script that opening it would start.
    f"javascript/tika__ers-standard-modules__tika{_TIKA_PDF}testPDF_jsActionOnPage.pdf": (0, 1),
    "javascript/tika__tika-app__src__test__resources__test-data__testPDFPackage.pdf": (1, 0),
    "javascript/unstructured__example-docs__pdf__embedded-images-tables.pdf": (1, 0),
    "jpeg2000/unstructured__example-docs__pdf__negative-coords.pdf": (1, 0),
    "jpeg2000/unstructured__example-docs__pdf__pdf-bad-color-space.pdf": (1, 0),
    # Only rendering its first page never returns.
    "never-returns/PyMuPDF__test_2548.pdf": (15, 0),
    "password/pdfplumber__tests__pdfs__password-example.pdf": "encrypted",
    "password/pypdf__resources__crazyones-encrypted-256.pdf": "encrypted",
    "password/pypdf__resources__encrypted-file.pdf": "encrypted",
    "password/pypdf__resources__encryption__r2-user-password.pdf": "encrypted",
    "password/pypdf__resources__encryption__r3-user-password.pdf": "encrypted",
    "password/pypdf__resources__encryption__r4-aes-user-password.pdf": "encrypted",
    "password/pypdf__resources__encryption__r4-user-password.pdf": "encrypted",
    "password/pypdf__resources__encryption__r5-user-password.pdf": "encrypted",
    "password/pypdf__resources__encryption__r6-both-passwords.pdf": "encrypted",
    "password/pypdf__resources__encryption__r6-user-password.pdf": "encrypted",
    "password/pypdf__resources__libreoffice-writer-password.pdf": "encrypted",
    f"password/tika__a{_TIKA_PDF}testPDF_no_extract_yes_accessibility_owner_user.pdf": "encrypted",
    f"password/tika__ka{_TIKA_PDF}testPDF_no_extract_no_accessibility_owner_user.pdf": "encrypted",
    "password/tika__tika-server__tika-server-standard__src__test__resources__test-documents__"
    "testPassword4Spaces.pdf": "encrypted",
    "password/tika__tika-server__tika-server-standard__src__test__resources__test-documents__"
    "testUnicodePassword.pdf": "encrypted",
    "password/unstructured__example-docs__pdf__password.pdf": "encrypted",
    # The user password is empty, or only an owner password is set.
    "pypdf-fails/pypdf__resources__encryption__r5-empty-password.pdf": (1, 0),
    "pypdf-fails/pypdf__resources__encryption__r5-owner-password.pdf": (1, 0),
    "pypdf-fails/pypdf__resources__encryption__r6-empty-password.pdf": (1, 0),
    "pypdf-fails/pypdf__resources__encryption__r6-owner-password.pdf": (1, 0),
    "slow/pypdf__resources__GeoBase_NHNC1_Data_Model_UML_EN.pdf": (19, 0),
    # Pages of 3.84 x 3.84 points, each an image; the word that three of the six draw stands 16 points up, off the page.
    "tiny-page/pypdf__resources__imagemagick-ASCII85Decode.pdf": (0, 1),
    "tiny-page/pypdf__resources__imagemagick-CCITTFaxDecode.pdf": (0, 1),
    "tiny-page/sample-files__007-imagemagick-images__imagemagick-images.pdf": (0, 6),
    "tiny-page/sample-files__007-imagemagick-images__imagemagick-lzw.pdf": (0, 1),
    # A licence text named .pdf.
    "unopenable/tika__tika-eval__tika-eval-app__src__test__resources__test-dirs__raw_input__"
    "file7_badJson.pdf": "unsupported",
    f"xfa/tika__tandard-modules__tika{_TIKA_PDF}testPDF_XFA_govdocs1_258578.pdf": (1, 0),
    "xref-repaired/pypdf__resources__issue-297.pdf": (1, 0),
    "zero-byte/pdfplumber__tests__pdfs__empty.pdf": "empty_file",
}
"""Path below pdf/hostile -> the reason why the whole file fails, or (pages with text, pages without)."""
